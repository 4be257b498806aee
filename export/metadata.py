"""Metadata of every file: target, versions, and a hash of its quantization parameters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import fx

from fxpasses.errors import InputError
from fxpasses.formats.documents import checked, require_plain
from fxpasses.graph.stages import Stage, graph_facts, stage_of
from fxpasses.precision.dynamic import dynamic_weights
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.exactness import unsafe_layers
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.pair_sums import LARGEST_PAIR
from fxpasses.quantization.numbers.targets import AUTO

from .exact_sums import EXACT_SUMS, METADATA_SESSION_OPTIONS

PREFIX = "fxpasses."


def metadata_of(gm: fx.GraphModule) -> dict[str, str]:
    """Metadata for a file made from a graph; all values are strings, all keys have the prefix ``fxpasses.``."""
    stage = stage_of(gm)
    facts = {"stage": stage.value if stage else "", "version": _version("fxpasses"), "torch": _version("torch")}
    if (precision := graph_facts(gm).precision) is not None:
        facts["precision"] = precision
    config = graph_facts(gm).config
    if config is not None:
        facts |= {"target": config.target, "recipe": recipe_text(config), "qparams_sha256": qparams_hash(gm)}
    found = {PREFIX + key: value for key, value in facts.items()}
    if stage in (Stage.QUANTIZED, Stage.LOWERED):
        found[METADATA_SESSION_OPTIONS] = json.dumps(session_options_of(gm))
    return found


def session_options_of(gm: fx.GraphModule) -> dict[str, str]:
    """The session config entries that the file of a graph needs on x86 CPUs without VNNI; may be empty."""
    if stage_of(gm) is Stage.QUANTIZED:
        return EXACT_SUMS if unsafe_layers(gm) else {}
    largest = max((int(weight.to(torch.int16).abs().max()) for weight in dynamic_weights(gm)), default=0)
    return EXACT_SUMS if largest > LARGEST_PAIR // 2 else {}


def qparams_hash(gm: fx.GraphModule) -> str:
    """SHA-256 over every scale, zero point and integer buffer, in graph order: equal for equal int8 models."""
    digest = hashlib.sha256()
    for node in gm.graph.nodes:
        if node.target in (ops.quantize, ops.dequantize, ops.pixels):
            digest.update(repr(node.args[1:]).encode())
        if node.target in (ops.dequantize, ops.dequantize_per_channel):
            for source in node.all_input_nodes:
                if source.op == "get_attr":
                    path, _, name = str(source.target).rpartition(".")
                    digest.update(getattr(gm.get_submodule(path), name).contiguous().numpy().tobytes())
    return digest.hexdigest()


def recipe_text(config: QuantConfig) -> str:
    """The settings as JSON."""
    return json.dumps(asdict(config), sort_keys=True)


def recipe_from(text: str) -> QuantConfig:
    """The settings in a text of :func:`recipe_text`.

    Raises:
        InputError: the text has another form, or names no target, so that the target would depend on the machine.
    """
    from fxpasses.formats.recipes import Quantize

    where, fix = Path("the recipe in the file's metadata"), "make the file again"
    try:
        settings: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON", why=str(error), fix=fix) from error
    require_plain(settings, where, fix)
    checked(Quantize, settings, where, fix)
    if settings.get("target", AUTO) == AUTO:
        raise InputError(f"{where} names no target", why="what it means would depend on the machine", fix=fix)
    settings["overrides"] = tuple(Override(**o) for o in settings.get("overrides", ()))
    return QuantConfig(**settings)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
