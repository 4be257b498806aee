"""Recipes as TOML: all settings of a quantization, without model and data, and its result.

    format = 1

    [quantize]                  the fields of QuantConfig
    observer = "percentile:99.99"

    [[quantize.overrides]]
    match = "node:add_3"
    keep_float = true

    [calibration]
    images = 256
    seed = 0

    [files]                     what differs from the defaults: dynamic_size, form, opset
    dynamic_size = true

    [result]                    result of the run that wrote the recipe; nothing depends on it
    qparams_sha256 = "…"

The same recipe, weights, data and versions give the same int8 model, bit for bit. Its hash is compared, and a
difference is reported.
"""

from __future__ import annotations

import difflib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from fxpasses.errors import InputError
from fxpasses.export.files import write_text_atomic
from fxpasses.formats.documents import checked, named, read_text, require_plain
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.numbers.targets import AUTO, TARGETS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1
FIX = "correct it, or write it again: fxpasses quantize --max-drop writes recipes"
_SECTIONS = ("format", "quantize", "calibration", "files", "result")


@dataclass(frozen=True)
class Files:
    """Settings of the files that are written.

    Attributes:
        dynamic_size: whether height and width of images are free.
        form: form of the int8 ONNX file.
        opset: opset of the ONNX files; None for the default.
    """

    dynamic_size: bool = False
    form: Literal["qdq", "qoperator"] = "qdq"
    opset: int | None = None


@dataclass(frozen=True)
class Recipe:
    """Content of a recipe file.

    Attributes:
        config: settings of the quantization.
        calibration_images, seed: choice of the calibration images; None for the command's default.
        result: result of the run that wrote it, for information: ``qparams_sha256``, accuracy, latency.
        files: settings of the files.
    """

    config: QuantConfig
    calibration_images: int | None = None
    seed: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    files: Files = field(default_factory=Files)

    @property
    def qparams_sha256(self) -> str | None:
        value = self.result.get("qparams_sha256")
        return value if isinstance(value, str) else None


_UNSAID_TARGET = "x86"
"""Target of a recipe that names none, on every machine."""


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe; the file is complete or not there."""
    write_text_atomic(path, recipe_toml(recipe))


def recipe_toml(recipe: Recipe) -> str:
    """A recipe as TOML."""
    settings = asdict(recipe.config)
    overrides = settings.pop("overrides")
    lines = ["# fxpasses quantize MODEL --data DATA --recipe THIS.toml --out DIR", f"format = {FORMAT}", ""]
    lines += _section("quantize", settings)
    for override in overrides:
        lines += _section("quantize.overrides", override, repeated=True)
    lines += _section("calibration", {"images": recipe.calibration_images, "seed": recipe.seed})
    changed = {name: value for name, value in asdict(recipe.files).items() if value != getattr(Files, name)}
    lines += _section("files", changed)  # defaults are left out: older versions do not know the section
    lines += _section("result", recipe.result)
    return "\n".join(lines)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        InputError: there is no such file, it is no TOML, or has an entry that recipes do not have.
    """
    from fxpasses.formats.recipes import QuantRecipe

    text = read_text(path, "the recipe", "name a .toml file")
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML", why=str(error), fix="correct it, or write it again") from error
    require_plain(document, path, FIX)
    if document.get("format", FORMAT) != FORMAT:
        raise InputError(
            f"{path} has format {document['format']}",
            why=f"this version reads format {FORMAT}",
            fix="use the version of fxpasses that wrote it",
        )
    _check_keys(path, "", document, _SECTIONS)
    quantize = _checked_settings(path, _table(path, document, "quantize"))
    calibration = _table(path, document, "calibration")
    _check_keys(path, "calibration", calibration, ("images", "seed"))
    files = _table(path, document, "files")
    _check_keys(path, "files", files, [f.name for f in fields(Files)])
    for name in ("images", "seed"):
        _check_whole(path, calibration, name)
    checked(QuantRecipe, document, path, FIX)
    with named(path, "quantize"):
        overrides = tuple(Override(**entry) for entry in quantize.pop("overrides", []))
        config = QuantConfig(**quantize, overrides=overrides)
    return Recipe(
        config,
        calibration.get("images"),
        calibration.get("seed"),
        _table(path, document, "result"),
        Files(**files),
    )


def _checked_settings(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Check ``[quantize]``: its keys are settings, with the types of their defaults. The format's model checks the
    rest.
    """
    _check_keys(path, "quantize", settings, [f.name for f in fields(QuantConfig)])
    overrides = settings.get("overrides", [])
    for entry in overrides if isinstance(overrides, list) else []:
        if isinstance(entry, dict):
            _check_keys(path, "quantize.overrides", entry, [f.name for f in fields(Override)])
            if "match" not in entry:
                raise InputError(f"{path}: an override without match", why="it matches no node", fix='add match = "…"')
    for name, value in settings.items():
        default = getattr(QuantConfig, name)
        if name != "overrides" and default is not None and type(value) is not type(default):
            raise InputError(
                f"{path}: quantize.{name} = {value!r}",
                why=f"it is a {type(value).__name__}, not a {type(default).__name__}",
                fix=f"write it like the default: {_value(default)}",
            )
    if settings.setdefault("target", _UNSAID_TARGET) == AUTO:
        raise InputError(
            f"{path}: quantize.target = {AUTO!r}",
            why="it is another target on each machine, and a recipe means the same on all of them",
            fix=f"write one of {', '.join(TARGETS)}",
        )
    return settings


def _table(path: Path, document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise InputError(
            f"{path}: {name} is no table", why=f"it is {found!r}", fix=f"write [{name}] above its settings"
        )
    return dict(found)


def _check_whole(path: Path, table: Mapping[str, Any], name: str) -> None:
    value = table.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InputError(f"{path}: calibration.{name} = {value!r}", why="it is no whole number", fix="write 256 or so")


def _check_keys(path: Path, section: str, found: Mapping[str, Any], known: Any) -> None:
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            raise InputError(
                f"{path}: {section + '.' if section else ''}{key}",
                why="there is no such setting",
                fix=f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}",
            )


def _section(name: str, values: Mapping[str, Any], *, repeated: bool = False) -> list[str]:
    known = {key: value for key, value in values.items() if value is not None and value != {}}
    if not known and not repeated:
        return []
    return [f"[[{name}]]" if repeated else f"[{name}]", *(f"{k} = {_value(v)}" for k, v in known.items()), ""]


def _value(value: Any) -> str:
    """A value as TOML; strings are escaped as in JSON, which TOML reads."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(v) for v in value)}]"
    assert isinstance(value, str), value
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
