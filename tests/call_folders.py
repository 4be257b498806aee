"""A folder as ``fxpasses quantize`` writes it, of a tiny net and quick to make, for tests of Python calls."""

from __future__ import annotations

import json
from pathlib import Path

from documents import report
from int8_files import file_of, inputs_of
from tiny_graphs import captured, quantized

from fxpasses.agreement.stored_integers import store_integers
from fxpasses.cli.folders.artifacts import INT8_ONNX, INT8_PT2, INTEGERS_NPZ, REPORT_JSON
from fxpasses.export import save, to_torch

NET = "conv_bn_relu"


def int8_folder(folder: Path) -> Path:
    """A folder with both int8 files, a report and a few images with their integers."""
    folder.mkdir(exist_ok=True)
    (folder / INT8_ONNX).write_bytes(file_of(NET))
    save(quantized(NET), folder / INT8_PT2)
    store_integers(quantized(NET), to_torch(quantized(NET)), folder / INT8_ONNX, inputs_of(NET), folder / INTEGERS_NPZ)
    (folder / REPORT_JSON).write_text(json.dumps(report()))
    return folder


def float_folder(folder: Path) -> Path:
    """A folder with a float graph and a report, as ``fxpasses prune`` writes them."""
    folder.mkdir(exist_ok=True)
    save(captured(NET), folder / "model.fp32.pt2")
    (folder / REPORT_JSON).write_text(json.dumps(report()))
    return folder
