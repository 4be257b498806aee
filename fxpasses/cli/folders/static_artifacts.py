"""The artifacts of a static quantization: float and int8, each in PyTorch and in onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import fx, nn

from fxpasses.export.files import file_bytes
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.devices import usable_device
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.measure.gpu_runner import gpu_runner
from fxpasses.measure.model_size import module_bytes
from fxpasses.measure.runners import Runner, onnx_runner, torch_runner

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
    device: str = "cpu",
) -> Iterator[Artifact]:
    """Yield each artifact of a folder; torch fp32 only if there is a float graph.

    Args:
        module: the int8 graph as PyTorch runs it.
        nearest: the int8 graph rounded to nearest; given if rounding was learned.
        device: PyTorch runs there.

    Raises:
        InputError: there is no such device, or no int8 kernels for it.
    """
    place = usable_device(device)
    if graph is not None:
        yield Artifact(_runner(graph, FLOAT, place, threads), graph, module_bytes(graph), macs=macs)
    module = to_torch(int8, device=place) if place.type == "cuda" else module
    yield Artifact(_runner(module, INT8, place, threads), int8, module_bytes(int8), INT8_PT2, macs)
    if nearest is not None:
        runner = torch_runner(to_torch(nearest), INT8, threads, name=NEAREST)
        yield Artifact(runner, int8, module_bytes(int8), macs=macs)
    for name, precision, counted in ((FLOAT_ONNX, FLOAT, graph), (INT8_ONNX, INT8, int8)):
        path = folder / name
        yield Artifact(onnx_runner(path, precision, threads), counted, file_bytes(path), name, macs)


def _runner(module: nn.Module, precision: str, place: torch.device, threads: int) -> Runner:
    if place.type != "cuda":
        return torch_runner(module, precision, threads)
    return gpu_runner(copy_graph(module) if isinstance(module, fx.GraphModule) else module, precision, place)
