"""Errors of recipes, reports and other documents: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from remedy_subjects import Case, int8_file
from torch import nn

import fxpasses
from fxpasses.export import to_onnx
from fxpasses.export.metadata import recipe_from, recipe_text
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.plain_arrays import read_arrays, write_arrays
from fxpasses.formats.regular_files import require_regular
from fxpasses.quantization.config import QuantConfig
from fxpasses.reports.document import read_report
from fxpasses.sensitivity.search.journal import Journal
from fxpasses.sensitivity.search.recipe_file import Recipe, read_recipe

RECIPES, AGAIN = "fxpasses/sensitivity/search/recipe_file.py", "make it again"
KEEP = "keep both files in one folder, as they were written"


def recipe(folder: Path, text: str) -> Recipe:
    (folder / "recipe.toml").write_text(text)
    return read_recipe(folder / "recipe.toml")


def of_metadata(**changes: Any) -> QuantConfig:
    settings = json.loads(recipe_text(QuantConfig(target="arm")))
    return recipe_from(json.dumps(settings | changes))


def arrays(path: Path, array: Any = None) -> Any:
    write_arrays(path, {"x": np.ones(3, np.float32) if array is None else array})
    return read_arrays(path, "make it again")


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def beside(folder: Path) -> Path:
    """An ONNX file with its weights in a second file."""
    large = fxpasses.capture(nn.Linear(64, 64).eval(), torch.randn(2, 64))  # small weights stay in the first file
    return to_onnx(large, folder / "m.onnx", verify=False, external_data=True)


def moved(folder: Path) -> Path:
    path = beside(folder)
    (folder / "m.onnx.data").rename(folder / "elsewhere")
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


RECIPE_CASES: dict[str, Case] = {
    f"{RECIPES}:read_recipe": (
        lambda folder: recipe(folder, "[quantize"),
        "correct it, or write it again",
        lambda folder: recipe(folder, "[quantize]"),
    ),
    f"{RECIPES}:read_recipe#2": (
        lambda folder: recipe(folder, "format = 9"),
        "use the version of fxpasses that wrote it",
        lambda folder: recipe(folder, "format = 1"),
    ),
    f"{RECIPES}:_check_keys": (
        lambda folder: recipe(folder, "[quantize]\nobservr = 'minmax'"),
        "did you mean observer?",
        lambda folder: recipe(folder, "[quantize]\nobserver = 'minmax'"),
    ),
    f"{RECIPES}:_check_whole": (
        lambda folder: recipe(folder, "[calibration]\nimages = 2.5"),
        "write 256 or so",
        lambda folder: recipe(folder, "[calibration]\nimages = 256"),
    ),
    f"{RECIPES}:_checked_settings": (
        lambda folder: recipe(folder, "[[quantize.overrides]]\nkeep_float = true"),
        'add match = "…"',
        lambda folder: recipe(folder, '[[quantize.overrides]]\nmatch = "linear"\nkeep_float = true'),
    ),
    f"{RECIPES}:_checked_settings#2": (
        lambda folder: recipe(folder, "[quantize]\nobserver = 3"),
        'write it like the default: "histogram"',
        lambda folder: recipe(folder, '[quantize]\nobserver = "histogram"'),
    ),
    f"{RECIPES}:_checked_settings#3": (
        lambda folder: recipe(folder, "[quantize]\ntarget = 'auto'"),
        "write one of x86",
        lambda folder: recipe(folder, "[quantize]\ntarget = 'x86'"),
    ),
    f"{RECIPES}:_table": (
        lambda folder: recipe(folder, "calibration = 3"),
        "write [calibration] above its settings",
        lambda folder: recipe(folder, "[calibration]\nimages = 3"),
    ),
    "export/metadata.py:recipe_from": (
        lambda _: recipe_from("{"),
        "make the file again",
        lambda _: of_metadata(),
    ),
    "export/metadata.py:recipe_from#2": (
        lambda _: of_metadata(target="auto"),
        "make the file again",
        lambda _: of_metadata(target="arm"),
    ),
    "fxpasses/formats/documents.py:checked": (
        lambda folder: recipe(folder, "[files]\nopset = 12"),
        "correct it, or write it again",
        lambda folder: recipe(folder, "[files]\nopset = 13"),
    ),
    "fxpasses/formats/documents.py:named": (
        lambda folder: recipe(folder, "[quantize]\nexact = true\ntie_free = false"),
        "drop one of them",
        lambda folder: (recipe(folder, "[quantize]\nexact = true"), recipe(folder, "[quantize]\ntie_free = false")),
    ),
    "fxpasses/formats/documents.py:read_text": (
        lambda folder: read_recipe(folder / "absent.toml"),
        "name a .toml file",
        lambda folder: recipe(folder, "format = 1"),
    ),
    "fxpasses/formats/documents.py:read_text#3": (
        lambda folder: read_recipe(written(folder / "r.toml", b"\xff\xfe")),
        "name a .toml file",
        lambda folder: recipe(folder, "format = 1"),
    ),
    "fxpasses/formats/documents.py:require_plain": (
        lambda folder: recipe(folder, "[result]\nx = nan"),
        "correct it, or write it again",
        lambda folder: recipe(folder, "[result]\nx = 1.0"),
    ),
}

FILE_CASES: dict[str, Case] = {
    "fxpasses/formats/regular_files.py:require_regular": (
        lambda folder: require_regular(pipe(folder / "pipe"), "name a file"),
        "name a file",
        lambda folder: require_regular(written(folder / "file", ""), "name a file"),
    ),
    "fxpasses/formats/documents.py:read_json": (
        lambda folder: read_report(written(folder / "report.json", "{")),
        AGAIN,
        lambda folder: read_report(written(folder / "report.json", _report())),
    ),
    "fxpasses/reports/document.py:read_report": (
        lambda folder: read_report(folder / "report.json"),
        AGAIN,
        lambda folder: read_report(written(folder / "report.json", _report())),
    ),
    "fxpasses/reports/document.py:read_report#2": (
        lambda folder: read_report(written(folder / "report.json", "[]")),
        "make it again with this version",
        lambda folder: read_report(written(folder / "report.json", _report())),
    ),
    "fxpasses/sensitivity/search/journal.py:_lines": (
        lambda folder: Journal(folder, {}).put(["a"], {}),
        "choose another `out`",
        lambda folder: Journal(folder / "out.journal.jsonl", {}).put(["a"], {}),
    ),
    "export/plain_arrays.py:read_arrays": (
        lambda folder: read_arrays(folder / "absent.npz", AGAIN),
        AGAIN,
        lambda folder: arrays(folder / "absent.npz"),
    ),
    "export/plain_arrays.py:read_arrays#2": (
        lambda folder: read_arrays(folder, AGAIN),
        AGAIN,
        lambda folder: arrays(folder / "x.npz"),
    ),
    "export/plain_arrays.py:read_arrays#3": (
        lambda folder: read_arrays(written(folder / "x.npz", b"damaged"), AGAIN),
        AGAIN,
        lambda folder: arrays(folder / "x.npz"),
    ),
    "export/onnx_reader.py:read_onnx": (
        lambda folder: read_onnx(folder / "absent.onnx"),
        "give an .onnx file",
        lambda folder: read_onnx(int8_file(folder)),
    ),
    "export/onnx_reader.py:read_onnx#3": (
        lambda folder: read_onnx(written(folder / "m.onnx", int8_file(folder).read_bytes()[:-7])),
        "export it again",
        lambda folder: read_onnx(int8_file(folder)),
    ),
    "export/onnx_reader.py:read_onnx#4": (
        lambda folder: read_onnx(moved(folder)),
        KEEP,
        lambda folder: read_onnx(beside(folder)),
    ),
    "export/onnx_reader.py:read_onnx#6": (
        lambda folder: read_onnx(written(folder / "m.onnx", b"")),
        "export it again",
        lambda folder: read_onnx(int8_file(folder)),
    ),
}

DOCUMENT_CASES: dict[str, Case] = RECIPE_CASES | FILE_CASES


def _report() -> str:
    from documents import report

    return json.dumps(report())
