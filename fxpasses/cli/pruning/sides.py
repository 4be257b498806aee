"""The dense model and the pruned one, each with its files and its artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import fx

from fxpasses.export.files import file_bytes
from fxpasses.export.onnx_writer.optimizer import optimize_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.program import exported_program
from fxpasses.export.pt2.save_and_load import save
from fxpasses.export.torch_int8 import to_torch
from fxpasses.measure.model_size import module_bytes
from fxpasses.measure.runners import onnx_runner, torch_runner

from ..folders.artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2
from ..folders.measuring import FLOAT, INT8, Artifact, macs_of
from ..given import Input
from ..static.quantize_model import Settings, int8_graphs
from ..terminal import Terminal

FLOAT_PT2 = "model.fp32.pt2"
DENSE = "dense "
"""Prefix of the names of variants of the dense model."""


@dataclass(frozen=True)
class Side:
    """The dense model or the pruned one, in float.

    Attributes:
        graph: FLOAT, fused.
        folder: folder of its files; those of the dense model are not kept.
        prefix: prefix of the names of its variants.
        module, onnx: its artifacts in PyTorch and onnxruntime.
    """

    graph: fx.GraphModule
    folder: Path
    prefix: str
    module: Artifact
    onnx: Artifact

    @property
    def artifacts(self) -> tuple[Artifact, Artifact]:
        return self.module, self.onnx


def float_side(
    graph: fx.GraphModule, folder: Path, prefix: str, given: Input, settings: Settings, terminal: Terminal
) -> Side:
    """Write the float ONNX file of a fused graph, and return the side."""
    with terminal.step("export float ONNX"):
        path = to_onnx(graph, folder / FLOAT_ONNX, opset=settings.opset)
        optimize_onnx(path, path, settings.optimizer)
    macs = macs_of(graph, given, terminal).macs
    runner = torch_runner(graph, FLOAT, name=f"{prefix}torch {FLOAT}")
    module = Artifact(runner, graph, module_bytes(graph), None if prefix else FLOAT_PT2, macs)
    session = onnx_runner(path, FLOAT, name=f"{prefix}onnxruntime {FLOAT}")
    onnx = Artifact(session, graph, file_bytes(path), None if prefix else FLOAT_ONNX, macs)
    return Side(graph, folder, prefix, module, onnx)


def int8_side(
    side: Side, given: Input, settings: Settings, images: int, terminal: Terminal
) -> tuple[fx.GraphModule, list[Artifact]]:
    """Quantize one side and write its int8 files; return the int8 graph and the artifacts."""
    batches = given.data.calibration(images, seed=settings.seed)
    int8 = int8_graphs(side.graph, batches, images, settings.config, terminal).graph
    with terminal.step("export int8 ONNX"):
        program = exported_program(int8)
        path = to_onnx(int8, side.folder / INT8_ONNX, form=settings.form, opset=settings.opset, program=program)
    is_kept = not side.prefix
    if is_kept:
        save(int8, side.folder / INT8_PT2, program=program)
    macs = side.onnx.macs
    runner = torch_runner(to_torch(int8), INT8, name=f"{side.prefix}torch {INT8}")
    session = onnx_runner(path, INT8, name=f"{side.prefix}onnxruntime {INT8}")
    return int8, [
        Artifact(runner, int8, module_bytes(int8), INT8_PT2 if is_kept else None, macs),
        Artifact(session, int8, file_bytes(path), INT8_ONNX if is_kept else None, macs),
    ]
