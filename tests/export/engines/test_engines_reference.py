"""The integer reference against Python's own integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from engine_calls import random_integers
from exact_integers import exact_result
from tiny_graphs import quantize_net
from tiny_nets.net import OneInput, TinyNet, TwoInputs, tiny
from torch import Tensor, fx, nn

from fxpasses.export.engines.reference import (
    EXACT_PRODUCTS,
    ReferenceKernel,
    ReferenceResult,
    _exact_sums,
    integer_table,
    multipliers,
    output_limits,
    reference_kernel,
    through_float,
)
from fxpasses.graph.shapes import shape_of
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import find_float_results, find_int8_calls
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import UINT8, QParams

Body = Callable[..., object]
INTEGERS = QuantConfig(float_results=False)


def _net(name: str, layer: Callable[[], nn.Module], *shape: int) -> TinyNet:
    return tiny(name, layer, shape)


def _one(name: str, body: Body, *shape: int) -> TinyNet:
    return tiny(name, lambda: OneInput(body), shape)


def _two(name: str, body: Body, first: tuple[int, ...], second: tuple[int, ...]) -> TinyNet:
    return tiny(name, lambda: TwoInputs(body), first, second)


NETS: dict[str, TinyNet] = {
    net.name: net
    for net in (
        _net("conv1d", lambda: nn.Conv1d(2, 3, 3, stride=2, padding=2, dilation=2), 2, 2, 7),
        _net("conv2d", lambda: nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1)), 1, 2, 5, 4),
        _net("conv2d_no_bias", lambda: nn.Conv2d(3, 4, 2, bias=False), 1, 3, 3, 4),
        _net("conv2d_grouped", lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), 1, 4, 3, 4),
        _net("depthwise", lambda: nn.Conv2d(3, 6, 3, groups=3, stride=2), 2, 3, 5, 4),
        _net("conv3d", lambda: nn.Conv3d(2, 2, 2, padding=1), 1, 2, 2, 3, 2),
        _net("conv_transpose1d", lambda: nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1, output_padding=1), 2, 2, 4),
        _net("conv_transpose2d_grouped", lambda: nn.ConvTranspose2d(4, 6, 2, 2, groups=2, dilation=2), 1, 4, 2, 3),
        _net("linear", lambda: nn.Linear(7, 4), 3, 7),
        _net("linear_3d", lambda: nn.Linear(5, 3, bias=False), 2, 3, 5),
        _net("conv_relu", lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU()), 1, 2, 3, 4),
        _two("add", lambda net, x, y: x + y, (2, 3, 2, 2), (2, 3, 2, 2)),
        _two("add_broadcast", lambda net, x, y: x + y, (2, 3, 2, 2), (2, 1, 2, 1)),
        _two("add_relu6", lambda net, x, y: F.relu6(3 * x.clone() + y), (2, 6), (2, 6)),
        _two("mul", lambda net, x, y: x * y, (2, 3, 2, 2), (2, 3, 1, 1)),
        _two("matmul", lambda net, x, y: x @ y, (2, 3, 4), (2, 4, 2)),
        _two("cat", lambda net, x, y: torch.cat((x, y, x), -2), (2, 3, 4), (2, 1, 4)),
        _one("avg_pool", lambda net, x: F.avg_pool2d(x, (2, 3), 2, (1, 0)), 1, 2, 5, 6),
        _one("avg_pool_inside", lambda net, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), 1, 2, 5, 6),
        _one("global_average", lambda net, x: F.adaptive_avg_pool2d(x, 1), 2, 3, 3, 5),
        _one("max_pool", lambda net, x: F.max_pool2d(F.relu(x), 3, 2, 1, 1, ceil_mode=True), 1, 2, 5, 6),
    )
}  # fmt: skip


@cache
def graph_of(net: str, target: str) -> fx.GraphModule:
    return quantize_net(NETS[net], QuantConfig(target=target, float_results=False))


@pytest.mark.parametrize("target", ["x86", "cuda"])
@pytest.mark.parametrize("net", NETS)
def test_gives_what_exact_fractions_give(net: str, target: str) -> None:
    calls = [c for c in find_int8_calls(graph_of(net, target)).values() if not c.operator.elementwise]
    assert calls
    for call in calls:
        for seed, extreme in ((0, False), (1, True)):
            inputs = random_integers(call, seed, extreme)
            found = ReferenceKernel(call)(*inputs)
            assert found.dtype is call.y.grid.dtype
            assert torch.equal(found, exact_result(call, inputs, found.shape))


def test_symmetric_targets_keep_their_clamp() -> None:
    (call,) = find_int8_calls(graph_of("conv_relu", "cuda")).values()
    assert call.clamp is not None and output_limits(call) == (0, 127)
    assert int(ReferenceKernel(call)(*random_integers(call, 0)).min()) == 0


@pytest.mark.parametrize(
    ("clamp", "limits"), [((0.0, 1.0), (10, 20)), ((-0.5, float("inf")), (5, 255)), ((-9.0, 0.31), (0, 13))]
)
def test_limits_of_a_clamp_in_integers(clamp: tuple[float, float], limits: tuple[int, int]) -> None:
    (call,) = find_int8_calls(graph_of("linear", "x86")).values()
    assert output_limits(replace(call, clamp=clamp, y=QParams(0.1, 10, UINT8))) == limits
    assert output_limits(call) == (0, 255)


@pytest.mark.parametrize("function", [F.hardswish, torch.sigmoid, F.gelu, lambda x: x.clamp(-0.3, 0.8), torch.tanh])
def test_tables_are_the_function_rounded_once(function: Callable[[Tensor], Tensor]) -> None:
    net = tiny("table", lambda: OneInput(lambda net, x: function(net.linear(x)), linear=nn.Linear(5, 6)), (8, 5))
    (call,) = [c for c in find_int8_calls(quantize_net(net, INTEGERS)).values() if c.operator.elementwise]
    (x,), y = call.x, call.y
    q = torch.arange(256, dtype=torch.uint8)
    values = function((q.float() - x.zero_point) * x.scale)
    expected = torch.round(values / y.scale + 0.0).add(y.zero_point).clamp(0, 255).to(torch.uint8)
    assert torch.equal(integer_table(call), expected)
    assert torch.equal(ReferenceKernel(call)(q), expected)


@pytest.mark.parametrize("features", [EXACT_PRODUCTS, EXACT_PRODUCTS + 1, 3 * EXACT_PRODUCTS + 7])
def test_long_sums_are_exact(features: int) -> None:
    """Sums that float32 cannot hold are split: with all weights and inputs at their ends, and one in between."""
    net = tiny("long", lambda: nn.Linear(features, 3), (2, features))
    (call,) = find_int8_calls(quantize_net(net, INTEGERS)).values()
    assert call.layer is not None
    call.layer.weight.fill_(127)
    call.layer.weight[1, ::2] = -127
    call.layer.weight[2, 0] = 1
    x = torch.full((2, features), call.x[0].grid.high, dtype=torch.uint8)
    x[1, 1] = 7
    sums = (x.long() - call.x[0].zero_point) @ call.layer.weight.long().T
    assert torch.equal(_exact_sums(call, x.double() - call.x[0].zero_point), sums.double())


@pytest.mark.parametrize("groups", [1, 2])
def test_long_convolutions_are_exact(groups: int) -> None:
    channels = 64 * groups
    net = tiny("long_conv", lambda: nn.Conv2d(channels, 4, 3, groups=groups, padding=1), (1, channels, 4, 3))
    (call,) = find_int8_calls(quantize_net(net, INTEGERS)).values()
    assert call.layer is not None and call.layer.weight[0].numel() > EXACT_PRODUCTS
    call.layer.weight.copy_(torch.where(call.layer.weight > -40, 127, -127))
    (q,) = random_integers(call, 0, extreme=True)
    centred = q.double() - call.x[0].zero_point
    exact = F.conv2d(centred, call.layer.weight.double(), None, **call.settings)
    assert torch.equal(_exact_sums(call, centred), exact)


@pytest.mark.parametrize("target", ["x86", "cuda"])
@pytest.mark.parametrize("net", ["linear", "linear_3d"])
def test_float_results_are_exact_sums_rounded_and_scaled_once(net: str, target: str) -> None:
    (result,) = find_float_results(quantize_net(NETS[net], QuantConfig(target=target))).values()
    grid, shape = result.x.grid, shape_of(result.input) or ()
    q = torch.randint(grid.low, grid.high + 1, shape, generator=torch.Generator().manual_seed(3)).to(grid.dtype)
    found = ReferenceResult(result)(q).flatten(0, -2)
    bias = result.layer.bias
    for row, given in zip(found.tolist(), q.flatten(0, -2).tolist(), strict=True):
        for o, weights in enumerate(result.layer.weight.tolist()):
            total = sum((x - result.x.zero_point) * w for x, w in zip(given, weights, strict=True))
            total += 0 if bias is None else int(bias[o])
            step = np.float32(result.x.scale) * np.float32(result.layer.weight_scale[o])
            assert row[o] == float(np.float32(total) * step)


def test_multipliers_are_one_for_each_output_channel() -> None:
    for net, channels in (("conv2d_grouped", 6), ("conv_transpose2d_grouped", 6), ("linear", 4)):
        (call,) = find_int8_calls(graph_of(net, "x86")).values()
        assert multipliers(call).shape == (channels,) and multipliers(call).dtype is torch.float64


def test_what_runs_on_integers_as_it_is_needs_no_kernel() -> None:
    net = _one("moves", lambda net, x: F.relu(x).transpose(1, 2).reshape(2, -1)[:, 1:], 2, 3, 4)
    calls = [c for c in find_int8_calls(quantize_net(net, INTEGERS)).values() if c.shares_scale]
    assert [c.operator.name for c in calls] == ["transpose", "reshape", "slice"]
    assert [reference_kernel(c) for c in calls] == [None] * 3


@pytest.mark.parametrize("net", ["conv2d_grouped", "linear_3d", "add", "mul", "matmul", "global_average"])
def test_the_way_through_float_gives_the_same(net: str) -> None:
    """If scales are tie-free, float32 rounds as exact arithmetic does."""
    (call,) = find_int8_calls(graph_of(net, "x86")).values()
    inputs = random_integers(call, 5)
    assert torch.equal(through_float(call, *inputs), ReferenceKernel(call)(*inputs))


def test_padding_is_with_the_zero_point() -> None:
    net = _one("padded", lambda net, x: F.pad(F.elu(x), (1, 0)), 2, 3, 4)
    (call,) = [c for c in find_int8_calls(quantize_net(net, INTEGERS)).values() if c.operator.name == "pad"]
    (q,) = random_integers(call, 0)
    padded = ReferenceKernel(call)(q)
    assert call.x[0].zero_point > 0 and set(padded[..., 0].flatten().tolist()) == {call.x[0].zero_point}
    assert torch.equal(padded[..., 1:], q)
    assert ops.dequantize(padded, call.y.scale, call.y.zero_point)[..., 0].abs().max() == 0


@pytest.mark.parametrize("features", [7, EXACT_PRODUCTS + 1])
def test_sums_of_16_bits_are_exact(features: int) -> None:
    net = tiny("wide", lambda: nn.Linear(features, 3), (2, features))
    (call,) = find_int8_calls(quantize_net(net, QuantConfig(activation_bits=16))).values()
    assert call.layer is not None
    x = torch.randint(0, 65536, (2, features), generator=torch.Generator().manual_seed(0))
    x[0] = 65535
    centred = x - call.x[0].zero_point
    assert torch.equal(_exact_sums(call, centred.double()), (centred @ call.layer.weight.long().T).double())
