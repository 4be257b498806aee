"""Errors of writing and reading files: what raises one, a part of its remedy, and the remedy taken.

Some report faults of the exporter or of onnxruntime that no model is known to have: these get a file that was changed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import onnx
import torch
import torchvision
from onnx import numpy_helper
from remedy_subjects import Case, config, float_file, int8_file, small_graph, through_torch_save
from remedy_subjects import X as ROWS
from tiny_graphs import quantized
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.export import exported_program, load, save, to_onnx, to_torch
from fxpasses.export.integer_tensors import OnnxIntegers
from fxpasses.export.onnx_writer import large, optimizer
from fxpasses.export.onnx_writer.opsets import DEFAULT_OPSET, opset_needed
from fxpasses.export.onnx_writer.optimizer import optimize_onnx
from fxpasses.export.onnx_writer.verify import verify_onnx
from fxpasses.export.onnx_writer.write import onnx_model
from fxpasses.precision.half import to_half
from fxpasses.quantization.config import Override

WRITER, VERIFY = "export/onnx_writer", "export/onnx_writer/verify.py"
IN_TORCH = "deploy it in PyTorch: fx.export.save(graph, 'model.pt2'), and for int8 kernels fx.export.to_torch(graph)"
AIRY = ["aten.special_airy_ai"]
Change = Callable[[onnx.ModelProto], object]


class After(nn.Module):
    """A linear layer, and a function of its result."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(3, 4), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.layer(x))


class OfTwo(nn.Module):
    """A module that asks Python whether the batch is two samples."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 1 if x.shape[0] == 2 else x * 1.0


class OfValues(nn.Module):
    """A module that asks Python for a value."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.detach().sum()) > 1e9 else x


class Deformed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offset, self.layer = nn.Conv2d(3, 18, 3, padding=1), torchvision.ops.DeformConv2d(3, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x, self.offset(x))
        return out


class Maxima(nn.Module):
    """The places of maxima that a pool of free size finds, or their values."""

    def __init__(self, places: bool) -> None:
        super().__init__()
        self.places = places

    def forward(self, x: Tensor) -> Tensor:
        values, places = nn.functional.adaptive_max_pool2d(x, 2, return_indices=True)
        return places * 2.0 if self.places else values


def after(function: Callable[[Tensor], Any]) -> fx.GraphModule:
    return fxpasses.capture(After(function).eval(), ROWS)


@cache
def behind_a_leaf(leaf: type[nn.Module]) -> fx.GraphModule:
    """A graph that keeps a module whole, which torch.export looks into."""
    return fxpasses.capture(nn.Sequential(nn.Linear(3, 4), leaf()).eval(), ROWS, leaves=["1"])


@cache
def deformed() -> fx.GraphModule:
    return fxpasses.capture(Deformed().eval(), torch.randn(2, 3, 5, 4))


def maxima(places: bool) -> fx.GraphModule:
    return fxpasses.capture(Maxima(places).eval(), torch.randn(2, 3, 5, 4))


def changed(path: Path, change: Change) -> Path:
    """The file with a change in it."""
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def other_weights(model: onnx.ModelProto) -> None:
    """Set half of the largest constant to another number."""
    largest = max(model.graph.initializer, key=lambda tensor: numpy_helper.to_array(tensor).size)
    values = numpy_helper.to_array(largest).copy()
    values[: len(values) // 2] = 100
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))


def no_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Nonsense"


@cache
def exported(graph: fx.GraphModule) -> bytes:
    with TemporaryDirectory() as folder:
        return to_onnx(graph, Path(folder) / "m.onnx", verify=False).read_bytes()


def verified(graph: fx.GraphModule, folder: Path, change: Change = lambda model: None) -> Any:
    (folder / "v.onnx").write_bytes(exported(graph))
    verify_onnx(graph, changed(folder / "v.onnx", change))


@cache
def int8(keep_float: str = "") -> fx.GraphModule:
    overrides = (Override(keep_float, keep_float=True),) if keep_float else ()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    return fxpasses.quantize(net, ROWS, [ROWS], config(observer="minmax", overrides=overrides))


@cache
def float_graph() -> fx.GraphModule:
    return small_graph()


@cache
def half_graph() -> fx.GraphModule:
    return to_half(float_graph(), "fp16")


def write(graph: fx.GraphModule, folder: Path, **settings: Any) -> Path:
    return to_onnx(graph, folder / "m.onnx", **({"verify": False} | settings))


def in_torch(graph: fx.GraphModule, folder: Path, operators: Any = ()) -> fx.GraphModule:
    return load(save(graph, folder / "model.pt2", operators=operators), operators=operators)


def refused_by_the_checker(folder: Path) -> Any:
    with patch.object(onnx.checker, "check_model", side_effect=onnx.checker.ValidationError("not to its taste")):
        return write(quantized("linear_on_image"), folder)


def without_an_opset() -> Any:
    model = onnx_model(small_graph())
    next(iter(model.graph)).op_type = "Nonsense"
    return opset_needed(model, DEFAULT_OPSET)


def optimized(folder: Path, tool: Any, found: object = None, largest: int = large.LARGEST_MESSAGE) -> Path:
    """A float file optimized, where onnxruntime-tools is found or not, and one file holds so many bytes."""
    with patch.object(optimizer, "find_spec", return_value=found), patch.object(large, "LARGEST_MESSAGE", largest):
        optimize_onnx(float_file(folder), folder / "o.onnx", tool)
    return folder / "o.onnx"


EXPORT_CASES: dict[str, Case] = {
    "export/integer_tensors.py:_feed": (
        lambda folder: OnnxIntegers(int8_file(folder, "conv_bn_relu")).outputs((ROWS, ROWS)),
        "use the file of this model",
        lambda folder: OnnxIntegers(write(int8(), folder)).outputs((ROWS,)),
    ),
    "export/onnx_refusals.py:refusals_told": (
        lambda folder: optimize_onnx(changed(float_file(folder), no_operator), folder / "o.onnx"),
        "export it again",
        lambda folder: optimize_onnx(float_file(folder), folder / "o.onnx"),
    ),
    "export/program.py:exported_program": (
        lambda _: exported_program(behind_a_leaf(OfTwo)),
        "program=fx.export.exported_program(graph, dynamic_batch=False)",
        lambda folder: save(
            behind_a_leaf(OfTwo),
            folder / "m.pt2",
            program=exported_program(behind_a_leaf(OfTwo), dynamic_batch=False),
        ),
    ),
    "export/program.py:_of_one_size": (
        lambda folder: save(behind_a_leaf(OfValues), folder / "m.pt2"),
        "torch.save(graph, 'graph.pt') keeps it as a pickle",
        lambda folder: through_torch_save(behind_a_leaf(OfValues), folder)(ROWS),
    ),
}


WRITER_CASES: dict[str, Case] = {
    f"{WRITER}/large.py:not_valid": (
        refused_by_the_checker,
        IN_TORCH,
        lambda folder: (in_torch(quantized("linear_on_image"), folder), to_torch(quantized("linear_on_image"))),
    ),
    f"{WRITER}/limits.py:require_expressible": (
        lambda folder: write(maxima(places=True), folder),
        f"use its values alone, or {IN_TORCH}",
        lambda folder: (write(maxima(places=False), folder), in_torch(maxima(places=True), folder)),
    ),
    f"{WRITER}/opsets.py:opset_needed": (
        lambda _: without_an_opset(),
        IN_TORCH,
        lambda folder: (in_torch(small_graph(), folder), to_torch(quantized("conv_bn_relu"))),
    ),
    f"{WRITER}/opsets.py:too_old": (
        lambda folder: write(deformed(), folder, opset=18),
        "leave opset out, or use opset=19",
        lambda folder: (write(deformed(), folder, opset=19), write(deformed(), folder)),
    ),
    f"{WRITER}/optimizer.py:_by_onnxruntime_tools": (
        lambda folder: optimized(folder, "onnxruntime-tools"),
        'pip install "fxpasses[onnxruntime-tools]", or leave `optimizer` at onnxruntime',
        lambda folder: optimized(folder, "onnxruntime"),
    ),
    f"{WRITER}/optimizer.py:_by_onnxruntime_tools#2": (
        lambda folder: optimized(folder, "onnxruntime-tools", found=object()),
        'use `optimizer="onnxruntime"`',
        lambda folder: optimized(folder, "onnxruntime"),
    ),
    f"{WRITER}/optimizer.py:_optimize_large": (
        lambda folder: optimized(folder, "onnxruntime-tools", largest=10),
        'use `optimizer="onnxruntime"`',
        lambda folder: optimized(folder, "onnxruntime", largest=10),
    ),
    f"{WRITER}/write.py:_run_exporter": (
        lambda folder: write(after(torch.special.airy_ai), folder),
        f"keep that operator out of the deployed graph, or {IN_TORCH}",
        lambda folder: (write(after(torch.relu), folder), in_torch(after(torch.special.airy_ai), folder, AIRY)),
    ),
    f"{VERIFY}:_differs": (
        lambda folder: verified(float_graph(), folder, other_weights),
        "verify=False writes the file unchecked",
        lambda folder: write(float_graph(), folder, verify=False),
    ),
    f"{VERIFY}:_differs#2": (
        lambda folder: verified(half_graph(), folder, other_weights),
        "verify=False writes the file unchecked",
        lambda folder: write(half_graph(), folder, verify=False),
    ),
    f"{VERIFY}:_run_file": (
        lambda folder: verified(float_graph(), folder, no_operator),
        "verify=False writes the file unchecked",
        lambda folder: write(float_graph(), folder, verify=False),
    ),
    f"{VERIFY}:_verify_integers": (
        lambda folder: verified(int8(), folder, other_weights),
        '`overrides=[Override("node:relu_1", keep_float=True)]`',
        lambda folder: (verified(int8("node:relu_1"), folder), write(int8(), folder, verify=False)),
    ),
}


EXPORT_CASES |= WRITER_CASES
