"""Layers in float32 that give the integers of exact arithmetic, for any weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from engine_calls import same
from tiny_graphs import fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import TinyNet, tiny
from torch import Tensor, nn

from fxpasses.export.engines import quint8, saturation
from fxpasses.export.engines.exact_layers import (
    EXACT_SUM,
    ExactConv,
    ExactLinear,
    ExactResult,
    channel_parts,
)
from fxpasses.export.engines.reference import ReferenceKernel, ReferenceResult
from fxpasses.export.engines.x86 import engine as x86
from fxpasses.export.engines.x86.float_results import float_result_kernel
from fxpasses.export.engines.x86.layers import PackedConv, PackedLinear, PlainLinear
from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, find_float_results, find_int8_calls
from fxpasses.quantization.numbers.qparams import QParams

BYTES = QuantConfig(target="x86", float_results=False, observer="minmax")


def net(name: str, layer: nn.Module, *shape: int) -> TinyNet:
    return tiny(name, lambda: layer, shape)


@cache
def call_of(kind: str) -> Int8Call:
    torch.manual_seed(0)
    nets = {
        "conv1d": net("conv1d", nn.Conv1d(6, 5, 3, padding=1), 2, 6, 9),
        "conv2d": net("conv2d", nn.Conv2d(16, 7, 3, padding=1, stride=2), 2, 16, 9, 8),
        "conv3d": net("conv3d", nn.Conv3d(4, 3, 2), 2, 4, 5, 4, 3),
        "grouped": net("grouped", nn.Conv2d(12, 8, 3, groups=4, bias=False), 2, 12, 6, 7),
        "wide": net("wide", nn.Conv2d(700, 4, 3, padding=1), 1, 700, 4, 4),
        "linear": net("linear", nn.Linear(40, 6), 3, 40),
        "tokens": net("tokens", nn.Linear(40, 6, bias=False), 3, 5, 40),
        "long": net("long", nn.Linear(9000, 3), 2, 9000),
    }
    (call,) = find_int8_calls(quantize_net(nets[kind], BYTES)).values()
    return call


KINDS = ["conv1d", "conv2d", "conv3d", "grouped", "wide", "linear", "tokens", "long"]


def extreme(call: Int8Call, weight: int) -> Int8Call:
    """The call with equal weights, for the largest possible sums."""
    assert call.layer is not None
    return replace(call, layer=replace(call.layer, weight=torch.full_like(call.layer.weight, weight)))


def integers(call: Int8Call, seed: int | None) -> Tensor:
    shape = tuple(call.inputs[0].meta["shape"])
    if seed is None:
        return torch.full(shape, 255, dtype=torch.uint8)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def exact_kernel(call: Int8Call) -> ExactConv | ExactLinear:
    kernel = ExactLinear(call) if call.operator.name == "linear" else ExactConv.if_exact(call)
    assert kernel is not None
    return kernel


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("seed", "zero_point"), [(0, 77), (1, 0), (None, 77)])
def test_integers_are_those_of_the_reference(kind: str, seed: int | None, zero_point: int) -> None:
    call = call_of(kind)
    call = replace(call, x=(QParams(call.x[0].scale, zero_point, call.x[0].grid),))
    q = integers(call, seed)
    for one in (call, extreme(call, 127), extreme(call, -127)):
        expected = ReferenceKernel(one)(q)
        assert same([quint8.as_bytes(exact_kernel(one)(q))], [expected])
        assert same([quint8.as_bytes(exact_kernel(one)(quint8.as_quint8(q, one.x[0])))], [expected])


def test_a_clamp_that_saturation_does_not_cover() -> None:
    call = replace(call_of("conv2d"), clamp=(0.0, 0.3))
    q = integers(call, 3)
    assert same([quint8.as_bytes(exact_kernel(call)(q))], [ReferenceKernel(call)(q)])


def test_without_quint8(monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_of("conv2d")
    expected = ReferenceKernel(call)(integers(call, 4))
    monkeypatch.setattr(quint8, "is_available", lambda: False)
    assert same([exact_kernel(call)(integers(call, 4))], [expected])


def test_parts_hold_every_partial_sum_below_what_float32_counts() -> None:
    for kind in KINDS:
        call = extreme(call_of(kind), 127)
        assert call.layer is not None
        parts = channel_parts(call.layer, call.x[0])
        covered = [i for part in parts for i in range(part.start, part.stop)]
        assert covered == list(range(call.layer.weight.shape[1]))
        products, zero_point = call.layer.weight[0, 0].numel(), call.x[0].zero_point
        largest = products * 127 * max(zero_point, 255 - zero_point)
        assert all((part.stop - part.start) * largest < EXACT_SUM for part in parts)
    assert len(channel_parts(extreme(call_of("wide"), 127).layer, call_of("wide").x[0])) > 1  # type: ignore[arg-type]
    assert len(channel_parts(call_of("conv2d").layer, call_of("conv2d").x[0])) == 1  # type: ignore[arg-type]


def test_a_group_that_needs_parts_is_left_to_the_reference() -> None:
    grouped = net("large_groups", nn.Conv2d(1200, 4, 3, groups=2), 1, 1200, 3, 3)
    (call,) = find_int8_calls(quantize_net(grouped, BYTES)).values()
    assert ExactConv.if_exact(extreme(call_of("wide"), 127)) is not None
    assert ExactConv.if_exact(extreme(call, 127)) is None


@pytest.fixture
def saturating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that saturate, on any machine."""
    monkeypatch.setattr(saturation, "saturates", lambda engine: True)


@pytest.fixture
def not_saturating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturation, "saturates", lambda engine: False)


@pytest.mark.usefixtures("saturating")
def test_kernels_where_they_saturate() -> None:
    assert isinstance(x86.x86_kernel(call_of("conv2d")), ExactConv)
    assert isinstance(x86.x86_kernel(call_of("linear")), ExactLinear)
    safe = find_int8_calls(quantized("conv_bn_relu", QuantConfig(target="x86-avx2", observer="minmax")))
    assert isinstance(x86.x86_kernel(next(iter(safe.values()))), PackedConv)
    result = result_of("x86")
    assert isinstance(float_result_kernel(result), ExactResult)
    q = torch.randint(0, 256, tuple(result.input.meta["shape"]), dtype=torch.uint8)
    assert torch.equal(ExactResult(result)(q), ReferenceResult(result)(q))


@pytest.mark.usefixtures("not_saturating")
def test_kernels_where_they_do_not() -> None:
    assert isinstance(x86.x86_kernel(call_of("conv2d")), PackedConv)
    assert isinstance(x86.x86_kernel(call_of("linear")), PackedLinear)
    assert not isinstance(float_result_kernel(result_of("x86")), ExactResult)


def test_where_fbgemm_alone_saturates_onednn_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The case of CPUs with AVX-VNNI and without AVX-512."""
    monkeypatch.setattr(saturation, "saturates", lambda engine: engine == "fbgemm")
    assert isinstance(x86.x86_kernel(call_of("linear")), PlainLinear)
    one_position = net("one_position", nn.Conv2d(64, 8, 1), 2, 64, 1, 1)
    (call,) = find_int8_calls(quantize_net(one_position, BYTES)).values()
    kernel = x86.x86_kernel(call)
    assert isinstance(kernel, PackedConv) and kernel.engine == "onednn"


def result_of(target: str) -> FloatResult:
    gm = quantized("linear_relu_linear", QuantConfig(target=target, observer="minmax"))
    return next(iter(find_float_results(gm).values()))


@pytest.mark.parametrize("name", ["residual_block", "squeeze_excite", "conv_depthwise_bn_relu6", "linear_relu_linear"])
@pytest.mark.usefixtures("saturating")
def test_whole_nets(name: str) -> None:
    """Whole nets agree in any batch size, also copied, and called with several shapes, for which weights are packed
    again.
    """
    gm = quantized(name)
    module, exact = to_torch(gm, "x86"), to_torch(gm, "reference")
    for batch in (2, 1, 3, 3, 3):
        inputs = fresh_inputs(TINY[name], 5, batch)
        expected = outputs_of(exact, inputs)
        assert same(outputs_of(module, inputs), expected)
        assert same(outputs_of(copy.deepcopy(module), inputs), expected)
