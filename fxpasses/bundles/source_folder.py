"""The folder of a quantization as the source of a bundle: all files are read and checked to be of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import fx

from fxpasses.errors import InputError
from fxpasses.export.metadata import qparams_hash
from fxpasses.export.onnx_reader import METADATA_TARGET, metadata, read_onnx
from fxpasses.export.pt2.save_and_load import load
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.reports.document import read_report

from .contents import FLOAT_ONNX, INT8_ONNX, SOURCE_INTEGERS, SOURCE_PT2, SOURCE_REPORT

if TYPE_CHECKING:
    import onnx

LARGEST_MODEL = (2 << 30) - (1 << 20)
"""Largest ONNX file in one piece, in bytes; the room for added metadata is already subtracted."""
METADATA_QPARAMS = "fxpasses.qparams_sha256"
_AGAIN = "make the folder again: fxpasses quantize MODEL --data DATA --out DIR"
_METHOD = "static"


@dataclass(frozen=True)
class SourceFolder:
    """The content of a quantization folder, as :func:`read_source` returns it.

    Attributes:
        report: ``report.json``.
        int8, float32: the ONNX models.
        graph: the QUANTIZED graph behind the int8 one.
        made_for: the target it was quantized for.
    """

    folder: Path
    report: Mapping[str, Any]
    int8: onnx.ModelProto
    float32: onnx.ModelProto
    graph: fx.GraphModule
    made_for: str

    @property
    def integers(self) -> Path:
        return self.folder / SOURCE_INTEGERS


def read_source(folder: Path) -> SourceFolder:
    """Read a folder of ``fxpasses quantize``.

    Raises:
        InputError: it is no such folder, a file is missing or damaged, or files of two models lie in it.
    """
    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "it does not exist"
        raise InputError(f"no folder {folder}", why=why, fix="name a folder that fxpasses quantize wrote")
    for name in (SOURCE_REPORT, INT8_ONNX, FLOAT_ONNX, SOURCE_PT2, SOURCE_INTEGERS):
        if not (folder / name).is_file():
            raise InputError(f"no {name} in {folder}", why="it was moved or deleted, or never made", fix=_AGAIN)
    report = read_report(folder / SOURCE_REPORT)
    if report.get("method", _METHOD) != _METHOD:
        raise InputError(
            f"a bundle of {folder}",
            why=f"it was made by method {report['method']}, and expected integers are those of static int8 models",
            fix='quantize with `method="static"`, the default',
        )
    int8, float32 = (_one_piece(folder / name) for name in (INT8_ONNX, FLOAT_ONNX))
    graph = load(folder / SOURCE_PT2)
    said = metadata(int8)
    is_same = stage_of(graph) is Stage.QUANTIZED and said.get(METADATA_QPARAMS) == qparams_hash(graph)
    if not is_same or METADATA_TARGET not in said:
        raise InputError(
            f"{folder}: {INT8_ONNX} and {SOURCE_PT2}",
            why="they are of two models, by the hash of their scales",
            fix=_AGAIN,
        )
    return SourceFolder(folder, report, int8, float32, graph, said[METADATA_TARGET])


def _one_piece(path: Path) -> onnx.ModelProto:
    model = read_onnx(path)
    if model.ByteSize() > LARGEST_MODEL:
        raise InputError(
            f"a bundle of {path}", why="weights beyond 2 GB do not fit into one ONNX file", fix="use a smaller model"
        )
    return model
