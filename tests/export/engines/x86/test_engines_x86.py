"""The x86 engine gives the integers of the reference, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from contracts import FIXED_BATCH
from engine_calls import IMAGE, as_integers, call_of, engine, random_integers, same, same_outputs
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_graphs import PAIR_SAFE, close, fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import OneInput, TinyNet, TwoInputs, tiny
from tiny_nets.share import each_net
from torch import Tensor, nn

from fxpasses.export.engines import quint8
from fxpasses.export.engines.reference import ReferenceKernel, integer_table
from fxpasses.export.engines.x86 import bytes_kernels as x86_bytes
from fxpasses.export.engines.x86.bytes_kernels import ByteAdd, ByteCat, ByteHardswish, ByteMul, Move, Table
from fxpasses.export.engines.x86.engine import x86_kernel
from fxpasses.export.engines.x86.layers import PackedConv, PackedLinear, PlainConv, PlainLinear
from fxpasses.export.engines.x86.pools import ByteMaxPool, GlobalAveragePool
from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import Int8Call, find_float_results, find_int8_calls

Body = Callable[..., object]
MANY = 40
INTEGERS = QuantConfig(float_results=False)
TARGETS = ("x86", "cuda")
"""Targets with both kinds of activations; arm has those of x86, and 7-bit weights are 8-bit ones."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", each_net(TINY))
def test_every_net_agrees_with_the_reference_and_the_plain_graph(name: str, target: str) -> None:
    """Fresh inputs, the captured batch and others. The graph's own operators round sums that are given as floats."""
    config = QuantConfig(target=target, observer="minmax")
    for seed, batch in ((21, None), (22, 1), (23, 3)):
        if batch is not None and name in FIXED_BATCH:
            continue
        inputs = fresh_inputs(TINY[name], seed, batch)
        expected = outputs_of(engine(name, config, "reference"), inputs)
        found, plain = (outputs_of(engine(name, config, of), inputs) for of in ("x86", "plain"))
        assert same_outputs(quantized(name, config), found, expected)
        has_floats = find_float_results(quantized(name, config))
        assert close(plain, expected) if has_floats else same(plain, expected)


@st.composite
def layers(draw: st.DrawFn) -> TinyNet:
    """A random convolution or linear layer, perhaps with a ReLU, with sizes odd and even."""
    kind = draw(st.sampled_from(["conv1d", "conv2d", "conv3d", "linear"]))
    seed, bias, relu = draw(st.integers(0, 10**6)), draw(st.booleans()), draw(st.booleans())
    shape: tuple[int, ...]
    if kind == "linear":
        features, outputs = draw(st.integers(1, 40)), draw(st.integers(1, 20))
        shape = (2, *((3,) if draw(st.booleans()) else ()), features)

        def build() -> nn.Module:
            return nn.Linear(features, outputs, bias)
    else:
        dims = int(kind[4])
        groups = draw(st.sampled_from([1, 1, 2, 4]))
        inputs, outputs = groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 5))
        if draw(st.booleans()):
            inputs = groups = outputs = 8  # depthwise
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        padding, dilation = draw(st.integers(0, 2)), draw(st.integers(1, 2))
        shape = (2, inputs, *(draw(st.integers(6, 9)) for _ in range(dims)))
        if draw(st.integers(0, 3)) == 0:  # one position, as in squeeze and excitation
            kernel, stride, padding, shape = 1, 1, 0, (2, inputs, *[1] * dims)

        def build() -> nn.Module:
            layer = getattr(nn, f"Conv{dims}d")
            made: nn.Module = layer(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
            return made

    name = f"random_{kind}_{seed}"
    return tiny(name, lambda: nn.Sequential(build(), nn.ReLU()) if relu else build(), shape)


@settings(max_examples=MANY)
@given(layers(), st.booleans())
def test_random_layers_agree(net: TinyNet, extreme: bool) -> None:
    """Any layer, any integers, and integers that are all at the ends of their grid."""
    gm = quantize_net(net, replace(INTEGERS, equalization=False, narrow_ranges=False))
    (call,) = [c for c in find_int8_calls(gm).values() if c.layer is not None]
    kernel = x86_kernel(call)
    assert kernel is not None
    inputs = random_integers(call, 1, extreme)
    assert torch.equal(as_integers(kernel(*inputs)), ReferenceKernel(call)(*inputs))


@pytest.mark.parametrize("channels", [8, 24, 128])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_sums_do_not_saturate(kernel: int, channels: int) -> None:
    """fbgemm's kernel adds products in 16 bits, and is off by 100 steps here."""
    layer = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
    net = tiny("depthwise", lambda: layer, (2, channels, 9, 8))
    (call,) = find_int8_calls(quantize_net(net, INTEGERS)).values()
    kernel_of = x86_kernel(call)
    assert kernel_of is not None
    inputs = random_integers(call, 1, extreme=True)
    assert torch.equal(as_integers(kernel_of(*inputs)), ReferenceKernel(call)(*inputs))
    copied = copy.deepcopy(kernel_of)  # torch would pack the copy's weights for fbgemm
    assert torch.equal(as_integers(copied(*inputs)), ReferenceKernel(call)(*inputs))


@pytest.mark.parametrize(
    ("shape", "settings", "engine_of"),
    [
        ((2, 600, 1, 1), {}, "fbgemm"),
        ((2, 600, 1), {}, "fbgemm"),
        ((2, 600, 1, 2), {}, "onednn"),
        ((2, 600, 1, 1), {"padding": 1}, "onednn"),
        ((2, 600, 1, 1), {"groups": 4}, "onednn"),
    ],
)
def test_one_position_is_a_product(shape: tuple[int, ...], settings: dict[str, Any], engine_of: str) -> None:
    """At the ends of the grid too: 600 products of 8 bits, which 16 bits do not hold."""
    layer = nn.Conv1d if len(shape) == 3 else nn.Conv2d
    net = tiny("one_position", lambda: layer(600, 12, 1, **settings), shape)
    config = replace(INTEGERS, target="x86-avx2")  # which the packed kernels of every CPU compute exactly
    (call,) = find_int8_calls(quantize_net(net, config)).values()
    kernel = x86_kernel(call)
    assert isinstance(kernel, PackedConv) and kernel.engine == engine_of
    for extreme in (False, True):
        inputs = random_integers(call, 1, extreme)
        assert torch.equal(as_integers(kernel(*inputs)), ReferenceKernel(call)(*inputs))


def _two(name: str, body: Body, first: tuple[int, ...], second: tuple[int, ...]) -> TinyNet:
    return tiny(name, lambda: TwoInputs(body), first, second)


def _one(name: str, body: Body, *shape: int) -> TinyNet:
    return tiny(name, lambda: OneInput(body), shape)


POINTWISE: dict[str, tuple[str, TinyNet, type[nn.Module] | None]] = {
    "add": ("add", _two("add", lambda net, x, y: x + 3 * y.clone(), IMAGE, IMAGE), ByteAdd),
    "add_relu": ("add", _two("add_relu", lambda net, x, y: F.relu(x + y), IMAGE, IMAGE), ByteAdd),
    "add_rows": ("add", _two("add_rows", lambda net, x, y: x + y, (3, 4, 6), (3, 4, 6)), ByteAdd),
    "add_broadcast": ("add", _two("add_broadcast", lambda net, x, y: x + y, IMAGE, (2, 5, 1, 1)), None),
    "add_one_batch": ("add", _two("add_one_batch", lambda net, x, y: x + y, (2, 5, 3, 3), (1, 5, 3, 3)), None),
    "mul": ("mul", _two("mul", lambda net, x, y: x * y, IMAGE, IMAGE), ByteMul),
    "mul_gate": ("mul", _two("mul_gate", lambda net, x, y: x * torch.sigmoid(y), IMAGE, (2, 5, 1, 1)), ByteMul),
    "mul_rows": ("mul", _two("mul_rows", lambda net, x, y: x * y, (3, 4, 6), (6,)), ByteMul),
    "mul_first": ("mul", _two("mul_first", lambda net, x, y: x * y, (2, 5, 1, 1), IMAGE), ByteMul),
    "mul_outer": ("mul", _two("mul_outer", lambda net, x, y: x * y, (2, 5, 9, 1), (2, 1, 1, 7)), ByteMul),
    "cat": ("cat", _two("cat", lambda net, x, y: torch.cat((x, 4 * y.clone()), 1), IMAGE, IMAGE), ByteCat),
    "cat_last": ("cat", _two("cat_last", lambda net, x, y: torch.cat((x, y, x), -1), (3, 4, 6), (3, 4, 2)), ByteCat),
    "matmul": ("matmul", _two("matmul", lambda net, x, y: x @ y, (2, 3, 4, 6), (2, 3, 6, 5)), None),
    "global": ("adaptive_avg_pool2d", _one("global", lambda net, x: F.adaptive_avg_pool2d(x, 1), *IMAGE),
               GlobalAveragePool),
    "average": ("avg_pool2d", _one("average", lambda net, x: F.avg_pool2d(x, 3, 2, 1), *IMAGE), None),
    "max": ("max_pool2d", _one("max", lambda net, x: F.max_pool2d(F.elu(x), 3, 2, 1), *IMAGE), ByteMaxPool),
    "max_ceil": ("max_pool2d", _one("max_ceil", lambda net, x: F.max_pool2d(F.elu(x), (2, 3), ceil_mode=True), *IMAGE),
                 ByteMaxPool),
    "max_dilated": ("max_pool2d", _one(
        "max_dilated", lambda net, x: F.max_pool2d(F.elu(x), 2, 1, 1, dilation=2), *IMAGE), ByteMaxPool),
    "max_1d": ("max_pool1d", _one("max_1d", lambda net, x: F.max_pool1d(F.elu(x), 2), 2, 5, 9), Move),
    "pad": ("pad", _one("pad", lambda net, x: F.pad(F.elu(x), (1, 2, 0, 1)), *IMAGE), Move),
    "nearest": ("interpolate", _one("nearest", lambda net, x: F.interpolate(F.elu(x), scale_factor=2), *IMAGE), Move),
    "gelu": ("gelu", _one("gelu", lambda net, x: F.gelu(x), *IMAGE), Table),
    "hardswish_3d": ("hardswish", _one("hardswish_3d", lambda net, x: F.hardswish(x), 2, 3, 4, 5, 6),
                     ByteHardswish),
    "hardswish": ("hardswish", _one("hardswish", lambda net, x: F.hardswish(x), *IMAGE), ByteHardswish),
    "gelu_bytes": ("gelu", _one("gelu_bytes", lambda net, x: F.gelu(x), 2, 9, 25, 25), Table),
    "gelu_pairs": ("gelu", _one("gelu_pairs", lambda net, x: F.gelu(x), 2, 9, 45, 45), Table),
    "gelu_odd": ("gelu", _one("gelu_odd", lambda net, x: F.gelu(x), 1, 9, 45, 45), Table),
    "clip": ("clip", _one("clip", lambda net, x: x.clamp(-0.3, 0.7), 3, 5), Table),
}  # fmt: skip


@cache
def _call(case: str) -> Int8Call:
    """The call of a case; not to be changed."""
    operator, net, _ = POINTWISE[case]
    return call_of(net, operator)


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("case", POINTWISE)
def test_everything_but_layers_agrees(case: str, extreme: bool) -> None:
    call, kind = _call(case), POINTWISE[case][2]
    kernel = x86_kernel(call)
    assert kernel is not None and (kind is None or type(kernel) is kind)
    for seed in range(3):
        inputs = random_integers(call, seed, extreme)
        expected = ReferenceKernel(call)(*inputs)
        assert torch.equal(as_integers(kernel(*inputs)), expected)
        with quint8.building():
            quints = [quint8.as_quint8(q, x) for q, x in zip(inputs, call.x, strict=True)]
        assert torch.equal(as_integers(kernel(*quints)), expected), "the same from quint8 tensors"


@pytest.mark.parametrize(("case", "in_pairs"), [("gelu", False), ("gelu_pairs", True)])
def test_only_large_tensors_are_looked_up_in_pairs(case: str, in_pairs: bool) -> None:
    table = x86_kernel(call_of(POINTWISE[case][1], "gelu"))
    assert isinstance(table, Table) and (table.pairs is not None) is in_pairs


@pytest.mark.parametrize("wrong", [0, 100, 255])
def test_a_kernel_of_aten_must_give_the_whole_table(wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_of(POINTWISE["hardswish"][1], "hardswish")
    table = integer_table(call)
    table[wrong] += 1
    monkeypatch.setattr(x86_bytes, "integer_table", lambda call: table)
    assert type(x86_kernel(call)) is Table


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda q: q.transpose(-1, -2).contiguous().transpose(-1, -2),
    "strided": lambda q: torch.stack([q, q], -1)[..., 0],
    "sliced": lambda q: torch.cat([q, q], 1)[:, q.shape[1] :],
    "channels_last": lambda q: q.contiguous(memory_format=torch.channels_last) if q.dim() == 4 else q,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", POINTWISE)
def test_any_memory_layout_will_do(case: str, layout: str) -> None:
    call, inputs, expected = _exact(case)
    kernel = x86_kernel(call)
    assert kernel is not None
    laid_out = [LAYOUTS[layout](q) if q.dim() > 1 else q for q in inputs]
    assert torch.equal(as_integers(kernel(*laid_out)), expected)


@cache
def _exact(case: str) -> tuple[Int8Call, list[Tensor], Tensor]:
    """A call, random integers for it, and what exact arithmetic makes of them."""
    call = _call(case)
    inputs = random_integers(call, 4)
    return call, inputs, ReferenceKernel(call)(*inputs)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["residual_block", "conv1d_bn_relu", "conv3d_bn_relu", "attention", "channel_shuffle"])
def test_any_layout_of_the_input_will_do(name: str, layout: str) -> None:
    config = QuantConfig(observer="minmax")
    inputs = fresh_inputs(TINY[name], 6)
    laid_out = tuple(LAYOUTS[layout](x) for x in inputs)
    with torch.no_grad():
        found = engine(name, config, "x86")(*laid_out)
    assert same([found], outputs_of(engine(name, config, "reference"), inputs))


@pytest.mark.parametrize("name", ["conv_bn_relu", "conv1d_bn_relu", "conv3d_bn_relu", "conv_depthwise_bn_relu6"])
def test_convolutions_without_quint8_agree_too(name: str) -> None:
    """Fallback of the engine in case torch drops the dtype."""
    call = next(c for c in find_int8_calls(quantized(name, PAIR_SAFE)).values() if c.layer is not None)
    for seed, extreme in ((0, False), (1, True)):
        inputs = random_integers(call, seed, extreme)
        expected = ReferenceKernel(call)(*inputs)
        for kernel in (PackedConv(call), PlainConv(call)):
            assert torch.equal(as_integers(kernel(*inputs)), expected)


def test_linear_layers_without_quint8_agree_too() -> None:
    for name in ("linear_relu_linear", "linear_on_image"):
        config = replace(INTEGERS, target="x86-avx2")
        call = next(c for c in find_int8_calls(quantized(name, config)).values() if c.operator.name == "linear")
        inputs = random_integers(call, 0)
        for kernel in (PackedLinear(call), PlainLinear(call)):
            assert torch.equal(as_integers(kernel(*inputs)), ReferenceKernel(call)(*inputs))


@pytest.mark.parametrize("name", each_net(TINY))
def test_whole_nets_without_quint8(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quint8, "is_available", lambda: False)
    fallback = to_torch(quantized(name), "x86")
    assert not any(
        isinstance(m, (PackedConv, PackedLinear, ByteAdd, ByteCat, ByteMul, ByteHardswish)) for m in fallback.modules()
    )
    inputs = fresh_inputs(TINY[name], 31)
    expected = outputs_of(to_torch(quantized(name), "reference"), inputs)
    assert same_outputs(quantized(name), outputs_of(fallback, inputs), expected)
