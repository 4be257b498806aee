"""Names of the files that a quantization writes. Imports nothing slow: ``audit`` and ``view`` need no torch."""

from __future__ import annotations

import os
from pathlib import Path

from fxpasses.errors import InputError

FLOAT_ONNX = "model.fp32.onnx"
INT8_ONNX = "model.int8.onnx"
INT8_PT2 = "model.int8.pt2"
INTEGERS_NPZ = "integers.npz"
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"

QUANTIZE_AGAIN = "make the folder again: fxpasses quantize MODEL --data DATA --out DIR"


def journal_beside(out: Path) -> Path:
    """Path of the journal of a search, beside ``out``; it exists until ``out`` is complete. ``.`` and ``..`` are
    resolved first, because they have no name of their own.
    """
    named = out if out.name not in ("", "..") else Path(os.path.realpath(out))
    return named.parent / f"{named.name}.journal.jsonl"


def artifact(folder: Path, name: str) -> Path:
    """The path of a file in the folder.

    Raises:
        InputError: it is not there.
    """
    if not (folder / name).is_file():
        raise InputError(f"no {name} in {folder}", why="it was moved or deleted", fix=QUANTIZE_AGAIN)
    return folder / name
