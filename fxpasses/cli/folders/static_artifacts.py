"""The artifacts of a static quantization: float and int8, each in PyTorch and in onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch import fx, nn

from fxpasses.export.files import file_bytes
from fxpasses.export.torch_int8 import to_torch
from fxpasses.measure.model_size import module_bytes
from fxpasses.measure.runners import onnx_runner, torch_runner

from .artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2
from .measuring import FLOAT, INT8, Artifact

NEAREST = "torch int8, nearest"


def static_artifacts(
    folder: Path,
    graph: fx.GraphModule | None,
    int8: fx.GraphModule,
    module: nn.Module,
    *,
    threads: int,
    nearest: fx.GraphModule | None = None,
    macs: int | None = None,
) -> Iterator[Artifact]:
    """Yield each artifact of a folder; torch fp32 only if there is a float graph.

    Args:
        module: the int8 graph as PyTorch runs it.
        nearest: the int8 graph rounded to nearest; given if rounding was learned.
    """
    if graph is not None:
        yield Artifact(torch_runner(graph, FLOAT, threads), graph, module_bytes(graph), macs=macs)
    yield Artifact(torch_runner(module, INT8, threads), int8, module_bytes(int8), INT8_PT2, macs)
    if nearest is not None:
        runner = torch_runner(to_torch(nearest), INT8, threads, name=NEAREST)
        yield Artifact(runner, int8, module_bytes(int8), macs=macs)
    for name, precision, counted in ((FLOAT_ONNX, FLOAT, graph), (INT8_ONNX, INT8, int8)):
        path = folder / name
        yield Artifact(onnx_runner(path, precision, threads), counted, file_bytes(path), name, macs)
