"""Prunes a float model, and writes it, its int8 form and a report; the dense model is measured beside them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.audit.audit_file import AuditReport, audit
from fxpasses.export.files import write_bytes_atomic
from fxpasses.graph.meta_keys import DTYPE, SHAPE
from fxpasses.measure.runners import torch_threads
from fxpasses.passes.fusion import fuse
from fxpasses.pruning.masks.masks import masks_of
from fxpasses.reports.document import build_report
from fxpasses.signature.samples import batch_dims

from ..folders.artifacts import INT8_ONNX
from ..folders.captured_model import captured_model
from ..folders.detectors import DETECTOR_ONNX, layers_in, refuse_training, write_whole
from ..folders.measuring import Artifact, Measured, measure
from ..folders.reporting import random_weights, run_details, write_reports
from ..given import PARITY_IMAGES, Input, default_threads
from ..options.overrides import check_overrides
from ..static.quantize_model import Settings, calibration_images, parity_on
from ..terminal import Terminal
from .account import ZEROS_ARE_NOT_FASTER, account_of, speedups_of
from .recipe import RECIPE, write_recipe
from .recovery import recover
from .sides import DENSE, FLOAT_PT2, Side, float_side, int8_side
from .steps import Pruned, Pruning, check_something_went, prune

MASKS = "masks.safetensors"


@dataclass(frozen=True)
class PruneOutcome:
    """Result of :func:`prune_into`, for the summary on the terminal."""

    report: dict[str, Any]
    audit: AuditReport | None


def prune_into(
    folder: Path, given: Input, pruning: Pruning, settings: Settings, quantize: bool, terminal: Terminal
) -> PruneOutcome:
    """Prune, recover, quantize if asked to, and write every artifact and the report into ``folder``.

    Raises:
        FxPassesError: whatever is wrong with the model, the data or the settings.
    """
    if pruning.epochs:
        refuse_training(given.model, "--fine-tune")
    threads = default_threads(settings.threads)
    with torch_threads(threads), tempfile.TemporaryDirectory() as scratch:
        with terminal.step("capture and fuse"):
            graph = captured_model(given.model)
            dense = fuse(graph)
        check_overrides(dense, settings.config)
        pruned = prune(graph, given, pruning, terminal)
        check_something_went(pruned, pruning)
        recover(pruned, dense, given.data, pruning, terminal, given.metric)
        small = fuse(pruned.graph)
        _save_float(small, pruned, folder, terminal)
        write_recipe(pruning, folder / RECIPE, settings.opset)
        before = float_side(dense, Path(scratch), DENSE, given, settings, terminal)
        after = float_side(small, folder, "", given, settings, terminal)
        artifacts = [*before.artifacts, *after.artifacts]
        lowered = Lowered()
        if quantize:
            lowered, made = _quantized(before, after, given, settings, terminal)
            artifacts += made
        artifacts = [replace(a, runner=a.runner.at_threads(threads)) for a in artifacts]
        measured = measure(artifacts, given, settings.evaluation_images, settings.benchmark, terminal)
        account = account_of(pruned, pruning, before, after, speedups_of(measured))
    report = _report(given, pruning, settings, lowered, measured, account, terminal)
    write_reports(report, folder)
    return PruneOutcome(report, lowered.audit)


@dataclass(frozen=True)
class Lowered:
    """The int8 graph of the pruned model, its parity and its audit; all None if it was not quantized.

    ``whole`` are the entries of report.json about the file of a whole detector.
    """

    int8: fx.GraphModule | None = None
    parity: dict[str, Any] | None = None
    audit: AuditReport | None = None
    whole: Mapping[str, Any] = field(default_factory=dict)


def _quantized(
    dense: Side, small: Side, given: Input, settings: Settings, terminal: Terminal
) -> tuple[Lowered, list[Artifact]]:
    """Quantize both sides, and check the pruned one."""
    images = calibration_images(given.data, settings)
    int8, made = int8_side(small, given, settings, images, terminal)
    _, also = int8_side(dense, given, settings, images, terminal)
    path = small.folder / INT8_ONNX
    limit = min(PARITY_IMAGES, settings.evaluation_images)
    parity = parity_on(int8, path, given.data, limit, terminal).to_json()
    whole = write_whole(small.folder, given.model, int8, terminal)
    with terminal.step("audit"):
        return Lowered(int8, parity, audit(path), whole), [*made, *also]


def _report(
    given: Input,
    pruning: Pruning,
    settings: Settings,
    lowered: Lowered,
    measured: Measured,
    account: dict[str, Any],
    terminal: Terminal,
) -> dict[str, Any]:
    return build_report(
        model=given.model.name,
        data=given.data.name,
        target=None if lowered.int8 is None else settings.config.target,
        variants=measured.variants,
        parity=lowered.parity,
        graph=lowered.int8,
        details={
            **run_details(given, settings.evaluation_images, measured, terminal),
            "pruning": account,
            **({} if lowered.audit is None else {"audit": lowered.audit.to_json()}),
            **lowered.whole,
            "warnings": [*terminal.warnings, *_warnings(given, pruning, lowered)],
        },
    )


def _save_float(small: fx.GraphModule, pruned: Pruned, folder: Path, terminal: Terminal) -> None:
    """Write the pruned model for PyTorch with torch.export, and its masks, if it has any."""
    masks = masks_of(pruned.graph)
    if masks:
        masks.save(folder / MASKS)
    dims = batch_dims(small)
    shapes = zip(_shapes(small), dims, strict=True)
    example = tuple(_two_samples(size, dtype, dim) for (size, dtype), dim in shapes)
    with terminal.step("save .pt2"), torch.no_grad():
        batch = tuple({} if dim is None else {dim: torch.export.Dim("batch")} for dim in dims)
        program = torch.export.export(small, example, dynamic_shapes=batch)
        buffer = io.BytesIO()  # given a path, torch aborts the process when the disk is full
        torch.export.save(program, buffer)
        write_bytes_atomic(folder / FLOAT_PT2, buffer.getbuffer())


def _two_samples(shape: tuple[int, ...], dtype: torch.dtype, dim: int | None) -> Tensor:
    return torch.zeros([2 if place == dim else size for place, size in enumerate(shape)], dtype=dtype)


def _shapes(graph: fx.GraphModule) -> Iterator[tuple[tuple[int, ...], torch.dtype]]:
    return ((n.meta[SHAPE], n.meta[DTYPE]) for n in graph.graph.nodes if n.op == "placeholder")


def _warnings(given: Input, pruning: Pruning, lowered: Lowered) -> list[str]:
    found = random_weights(given.model)
    if layers_in(given.model) is not None and not lowered.whole:
        found.append(f"these files are the detector's layers alone; with --quantize {DETECTOR_ONNX} is the whole one")
    return found if pruning.is_structured else [*found, ZEROS_ARE_NOT_FASTER]
