"""Operators on bytes for GPUs, in Triton's interpreter, give the integers of the exact reference, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from engine_calls import random_integers
from tiny_graphs import quantize_net
from tiny_nets.net import OneInput, TwoInputs, tiny
from torch import Tensor, nn

from fxpasses.export.engines.cuda import engine
from fxpasses.export.engines.cuda.engine import _Choosing, _why_not_mean
from fxpasses.export.engines.cuda.pointwise import CudaAdd, CudaCat, CudaEntrance, CudaMul, CudaTable
from fxpasses.export.engines.cuda.pools import CudaGlobalAverage, CudaMean, CudaWindows
from fxpasses.export.engines.kernel import Kernel
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import Int8Call, find_int8_calls, qparams_of
from fxpasses.quantization.numbers import ops

pytestmark = pytest.mark.usefixtures("interpreter")

CPU = torch.device("cpu")
IMAGE, GATE = (2, 5, 7, 6), (2, 5, 1, 1)

TWO: dict[str, tuple[type[Kernel], Callable[..., Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "add": (CudaAdd, lambda net, x, y: x + y, IMAGE, IMAGE),
    "add_relu6": (CudaAdd, lambda net, x, y: F.relu6(3 * x.clone() + y), (3, 7), (3, 7)),
    "mul": (CudaMul, lambda net, x, y: x * y, IMAGE, IMAGE),
    "mul_gate": (CudaMul, lambda net, x, y: x * y, IMAGE, GATE),
    "mul_gate_first": (CudaMul, lambda net, x, y: x * y, GATE, IMAGE),
    "cat_channels": (CudaCat, lambda net, x, y: torch.cat((x, 3 * y.clone(), x), 1), IMAGE, (2, 3, 7, 6)),
    "add_repeated": (CudaAdd, lambda net, x, y: x + y, (2, 5, 4), (1, 5, 1)),
    "mul_repeated": (CudaMul, lambda net, x, y: x * y, (5, 1), (2, 5, 4)),
    "cat_rows": (CudaCat, lambda net, x, y: torch.cat((x, 2 * y.clone()), 1), (2, 3, 4), (2, 2, 4)),
    "cat_last": (CudaCat, lambda net, x, y: torch.cat((x, y), -1), (2, 3, 4), (2, 3, 5)),
}
ONE: dict[str, tuple[type[Kernel], Callable[..., Tensor]]] = {
    "max_pool": (CudaWindows, lambda net, x: F.max_pool2d(F.elu(x), 3, 2, 1)),
    "max_pool_ceil": (CudaWindows, lambda net, x: F.max_pool2d(F.elu(x), (3, 2), 3, 1, 1, ceil_mode=True)),
    "avg_pool": (CudaWindows, lambda net, x: F.avg_pool2d(x, (2, 3), 2, (1, 0))),
    "avg_pool_inside": (CudaWindows, lambda net, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)),
    "global_average": (CudaGlobalAverage, lambda net, x: F.adaptive_avg_pool2d(x, 1)),
    "mean": (CudaMean, lambda net, x: x.mean((0, 2))),
    "mean_kept": (CudaMean, lambda net, x: x.mean(-1, keepdim=True)),
    "mean_of_all": (CudaMean, lambda net, x: x.mean()),
    "table": (CudaTable, lambda net, x: F.hardswish(x)),
}
OPERATOR = {"max": "max_pool2d", "avg": "avg_pool2d", "global": "adaptive_avg_pool2d", "mean": "mean"}


@cache
def chosen(name: str, target: str) -> tuple[Int8Call, Kernel, str]:
    """The operation, the kernel that is chosen for it, and the place that is told."""
    if name in TWO:
        _, body, first, second = TWO[name]
        net, wanted = tiny(name, lambda: TwoInputs(body), first, second), name.partition("_")[0]
    else:
        # elementwise operators next to the input stay in float, so a layer comes first
        linear = nn.Linear(IMAGE[-1], IMAGE[-1])
        after = ONE[name][1]
        net = tiny(name, lambda: OneInput(lambda net, x: after(net, net.linear(x)), linear=linear), IMAGE)
        wanted = OPERATOR.get(name.partition("_")[0], "hardswish")
    gm = quantize_net(net, QuantConfig(target=target, observer="minmax", float_results=False))
    call = [c for c in find_int8_calls(gm).values() if c.operator.name == wanted][-1]
    choosing = _Choosing(gm, CPU)
    kernel = choosing.kernel_for(call)
    assert kernel is not None
    return call, kernel, choosing.placement.get(call.name, "")


@pytest.mark.parametrize("target", ["cuda", pytest.param("x86", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "mean_of_all" else []) for name in (*TWO, *ONE)]
)
def test_operators_are_the_references(name: str, target: str) -> None:
    call, kernel, place = chosen(name, target)
    assert type(kernel) is (TWO | ONE)[name][0] and place == type(kernel).__name__
    for seed in (1, 2):
        inputs = random_integers(call, seed, extreme=seed == 2)
        found = kernel(*inputs)
        assert found.dtype is call.y.grid.dtype and torch.equal(found, ReferenceKernel(call)(*inputs))


@pytest.mark.parametrize("kind", [CudaAdd, CudaMul, CudaCat])
def test_without_a_proof_float64_rounds(kind: type[CudaAdd] | type[CudaMul] | type[CudaCat]) -> None:
    name = {CudaAdd: "add", CudaMul: "mul", CudaCat: "cat_channels"}[kind]
    call, _, _ = chosen(name, "x86")
    kernel = kind(call, False, CPU)
    ratios = [r for r, _, _ in kernel.parts] if isinstance(kernel, CudaCat) else [kernel.ratios]
    inputs = random_integers(call, 3)
    assert {r.dtype for r in ratios} == {torch.float64}
    assert torch.equal(kernel(*inputs), ReferenceKernel(call)(*inputs))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8])
def test_the_way_in_divides_as_ieee_does(dtype: torch.dtype) -> None:
    """A product with 1/scale, as in a GPU's fast division, would round some of these ties the other way."""
    graph = torch.fx.Graph()
    scale = 0.0470588244497776
    node = graph.call_function(ops.quantize, (graph.placeholder("x"), scale, 3, dtype))
    assert qparams_of(node).scale == scale
    levels = torch.arange(-300, 300, dtype=torch.float32)
    x = torch.cat([(levels + 0.5) * scale, levels * scale, torch.tensor([1e30, -1e30, float("inf")])])
    expected = ops.quantize(x, scale, 3, dtype)
    by_reciprocal = (
        torch.round(x * (1.0 / torch.tensor(scale))).add(3).clamp(torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    )
    assert torch.equal(CudaEntrance(node, CPU)(x), expected) and not torch.equal(by_reciprocal.to(dtype), expected)


def test_images_come_in_channels_last() -> None:
    graph = torch.fx.Graph()
    node = graph.call_function(ops.quantize, (graph.placeholder("x"), 0.05, 0, torch.int8))
    x = torch.randn(IMAGE)
    q = CudaEntrance(node, CPU)(x)
    assert q.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(q, ops.quantize(x, 0.05, 0, torch.int8))


def test_averages_of_too_many_bytes_are_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    call, _, _ = chosen("mean", "cuda")
    assert _why_not_mean(call) is None
    monkeypatch.setattr(engine, "MOST_AVERAGED", 2 * 5 * 7 * 6 - 1)
    assert _why_not_mean(call) == "its sums may exceed 32 bits"
