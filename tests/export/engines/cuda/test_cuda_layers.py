"""Layers for GPUs, in Triton's interpreter, give the integers of the exact reference, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from engine_calls import call_of, random_integers
from tiny_graphs import quantize_net
from tiny_nets.net import TwoInputs, tiny
from torch import Tensor, fx, nn

from fxpasses.export.engines.cuda import layers
from fxpasses.export.engines.cuda.launching.launches import Images, LayerConstants, launch_depthwise
from fxpasses.export.engines.cuda.launching.operands import why_sums_overflow
from fxpasses.export.engines.cuda.launching.window import Window
from fxpasses.export.engines.cuda.layers import CudaConv, CudaFloatResult, CudaLinear, WithSum, fitting
from fxpasses.export.engines.reference import ReferenceKernel, ReferenceResult
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import Int8Call, find_float_results, find_int8_calls, layer_of

pytestmark = pytest.mark.usefixtures("interpreter")

TARGETS = ("cuda", "x86")

CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "few_channels_padded": (lambda: nn.Conv2d(3, 8, 3, padding=1), (2, 3, 5, 7)),
    "few_channels_strided": (lambda: nn.Conv2d(3, 5, 7, stride=2, padding=3), (1, 3, 9, 11)),
    "few_channels_dilated": (lambda: nn.Conv2d(5, 3, 3, dilation=2, padding=2), (1, 5, 6, 5)),
    "tall_kernel": (lambda: nn.Conv2d(5, 8, (3, 1), stride=(2, 1), padding=(1, 0)), (1, 5, 7, 4)),
    "wide_kernel": (lambda: nn.Conv2d(6, 4, (1, 5), padding=(0, 2)), (1, 6, 3, 7)),
    "odd_channels_1x1": (lambda: nn.Conv2d(37, 19, 1), (2, 37, 3, 3)),
    "even_channels_1x1_strided": (lambda: nn.Conv2d(64, 32, 1, stride=2, bias=False), (1, 64, 5, 4)),
    "odd_channels_3x3": (lambda: nn.Conv2d(35, 21, 3, padding=1), (1, 35, 4, 5)),
    "even_channels_3x3_stride_3": (lambda: nn.Conv2d(32, 16, 3, stride=3, padding=1), (1, 32, 7, 5)),
    "one_pixel": (lambda: nn.Conv2d(48, 17, 3, padding=1), (3, 48, 1, 1)),
    "one_channel": (lambda: nn.Conv2d(1, 4, 5, padding=2), (1, 1, 6, 6)),
    "groups": (lambda: nn.Conv2d(12, 9, 3, groups=3, padding=1), (1, 12, 4, 5)),
    "groups_of_many": (lambda: nn.Conv2d(64, 48, 3, groups=2, padding=1), (1, 64, 3, 3)),
    "depthwise": (lambda: nn.Conv2d(13, 13, 3, groups=13, padding=1), (2, 13, 5, 6)),
    "depthwise_strided_and_more": (lambda: nn.Conv2d(6, 18, 3, groups=6, stride=2, padding=1), (1, 6, 7, 5)),
    "depthwise_dilated": (lambda: nn.Conv2d(7, 7, 3, groups=7, dilation=2, padding=2), (1, 7, 6, 5)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), (2, 4, 9)),
    "clamped": (lambda: nn.Sequential(nn.Conv2d(5, 8, 3, padding=1), nn.ReLU6()), (1, 5, 5, 4)),
}  # fmt: skip


QUICK = {("few_channels_strided", "cuda"), ("odd_channels_1x1", "x86"), ("even_channels_3x3_stride_3", "cuda")} | {
    ("one_pixel", "cuda"),
    ("groups", "cuda"),
    ("depthwise", "x86"),
    ("few_channels_dilated", "cuda"),
}
"""Cases of the fast suite; all others are marked slow, because the interpreter is slow."""
CASES = [
    pytest.param(name, target, marks=[] if (name, target) in QUICK else [pytest.mark.slow])
    for name in CONVOLUTIONS
    for target in TARGETS
]


@cache
def layer_call(name: str, target: str) -> Int8Call:
    build, shape = CONVOLUTIONS[name]
    gm = quantize_net(tiny(name, build, shape), QuantConfig(target=target, observer="minmax", float_results=False))
    return next(call for call in find_int8_calls(gm).values() if call.layer is not None)


@pytest.mark.parametrize(("name", "target"), CASES)
def test_convolutions_are_the_references(name: str, target: str) -> None:
    call = layer_call(name, target)
    reference = ReferenceKernel(call)
    for proved, extreme in ((True, True), (False, False)):
        inputs = random_integers(call, 3, extreme)
        assert torch.equal(CudaConv(call, proved)(*inputs), reference(*inputs))


def test_padding_is_the_zero_point_and_not_zero() -> None:
    call = layer_call("few_channels_padded", "x86")
    assert call.x[0].zero_point not in (0, 128)
    (q,) = random_integers(call, 1)
    right = ReferenceKernel(call)(q)
    kernel = CudaConv(call, proved=True)
    object.__setattr__(kernel.constants, "padding", 0)
    assert torch.equal(kernel(q)[..., 1:-1, 1:-1], right[..., 1:-1, 1:-1]) and not torch.equal(kernel(q), right)


def test_results_lie_channels_last_and_any_layout_will_do() -> None:
    call = layer_call("odd_channels_3x3", "cuda")
    (q,) = random_integers(call, 2)
    kernel = CudaConv(call, proved=True)
    y = kernel(q)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(kernel(q.contiguous(memory_format=torch.channels_last)), y)
    assert torch.equal(kernel(q.transpose(2, 3).contiguous().transpose(2, 3)), y)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("shape", "features"), [((3, 37), 11), ((2, 3, 64), 40)])
def test_linear_layers_are_the_references(shape: tuple[int, ...], features: int, target: str) -> None:
    net = tiny("linear", lambda: nn.Linear(shape[-1], features), shape)
    call = call_of(net, "linear", QuantConfig(target=target, float_results=False))
    for proved, extreme in ((True, True), (False, False)):
        inputs = random_integers(call, 5, extreme)
        assert torch.equal(CudaLinear(call, proved)(*inputs), ReferenceKernel(call)(*inputs))


@pytest.mark.parametrize("target", TARGETS)
def test_float_results_are_equal_bit_for_bit(target: str) -> None:
    net = tiny("logits", lambda: nn.Linear(45, 10), (4, 45))
    (result,) = find_float_results(quantize_net(net, QuantConfig(target=target))).values()
    grid = result.x.grid
    q = torch.randint(grid.low, grid.high + 1, (4, 45), generator=torch.Generator().manual_seed(1)).to(grid.dtype)
    assert torch.equal(CudaFloatResult(result)(q), ReferenceResult(result)(q))


def _summing(
    target: str, layer: Callable[[], nn.Module], shape: tuple[int, ...], other: tuple[int, ...]
) -> fx.GraphModule:
    def body(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        total: Tensor = net.layer(x).add(y).relu()  # type: ignore[operator]  # a submodule
        return total

    net = tiny("summing", lambda: TwoInputs(body, layer=layer()), shape, other)
    return quantize_net(net, QuantConfig(target=target, observer="minmax", float_results=False))


@pytest.mark.parametrize(
    ("target", "proved"),
    [("x86", False), pytest.param("cuda", True, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    ("layer", "shape", "other"),
    [
        (lambda: nn.Conv2d(8, 6, 3, padding=1), (2, 8, 4, 5), (2, 6, 4, 5)),
        (lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), (2, 6, 4, 5), (2, 6, 4, 5)),
        (lambda: nn.Linear(20, 7), (3, 20), (3, 7)),
    ],
    ids=["conv", "depthwise", "linear"],
)  # fmt: skip
def test_a_layer_with_the_sum_behind_it(
    layer: Callable[[], nn.Module], shape: tuple[int, ...], other: tuple[int, ...], proved: bool, target: str
) -> None:
    calls = list(find_int8_calls(_summing(target, layer, shape, other)).values())
    (own,), (add,) = ([c for c in calls if c.layer], [c for c in calls if c.operator.name == "add"])
    (x,), (_, y) = random_integers(own, 1), random_integers(add, 2, extreme=not proved)
    kernel = CudaLinear(own, proved) if own.operator.name == "linear" else CudaConv(own, proved)
    expected = ReferenceKernel(add)(ReferenceKernel(own)(x), y)
    assert torch.equal(WithSum(kernel, own, add, proved)(x, y), expected)
    assert torch.equal(kernel(x), ReferenceKernel(own)(x)), "the layer itself is left alone"


def test_the_sum_may_have_the_layer_on_its_right() -> None:
    def body(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        total: Tensor = y + net.layer(x)  # type: ignore[operator]  # a submodule
        return total

    net = tiny("right", lambda: TwoInputs(body, layer=nn.Linear(9, 7)), (3, 9), (3, 7))
    calls = list(find_int8_calls(quantize_net(net, QuantConfig(target="cuda", float_results=False))).values())
    (own,), (add,) = ([c for c in calls if c.layer], [c for c in calls if c.operator.name == "add"])
    (x,), (y, _) = random_integers(own, 1), random_integers(add, 2)
    assert add.inputs[1] is own.output
    expected = ReferenceKernel(add)(y, ReferenceKernel(own)(x))
    assert torch.equal(WithSum(CudaLinear(own, True), own, add, True)(x, y), expected)


def test_large_batches_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    call = layer_call("depthwise", "cuda")
    (q,) = random_integers(call, 4)
    whole = CudaConv(call, proved=True)(q)
    asked: list[int] = []

    def launch(layer: LayerConstants, window: Window, x: Tensor, images: Images, y: Tensor, residual: None) -> None:
        asked.append(images.count)
        launch_depthwise(layer, window, x, images, y, residual)

    monkeypatch.setattr(layers, "MOST_PLACES", q[0].numel())
    monkeypatch.setattr(layers, "launch_depthwise", launch)
    assert torch.equal(CudaConv(call, proved=True)(q), whole) and asked == [1, 1]
    assert fitting(10**12) == 1


def test_sums_of_more_than_32_bits_are_told() -> None:
    call = call_of(tiny("bias", lambda: nn.Linear(8, 4), (2, 8)), "linear")
    layer = layer_of(call)
    assert why_sums_overflow(layer, call.x[0]) is None
    assert layer.bias is not None
    layer.bias[2] = 2**31 - 5
    assert why_sums_overflow(layer, call.x[0]) == "its sums may exceed 32 bits"
