"""Limits of the x86 engine: inputs, outputs, clamps that stay, threads, copies, other image sizes."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace

import pytest
import torch
from engine_calls import IMAGE, as_integers, engine, random_integers, same
from hypothesis import given
from hypothesis import strategies as st
from tiny_graphs import INTEGERS, X86, close, fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import tiny
from torch import nn

from fxpasses.export.engines import quint8
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.export.engines.x86.bytes_kernels import Exit
from fxpasses.export.engines.x86.engine import x86_kernel
from fxpasses.export.engines.x86.entrance import Entrance
from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import find_int8_calls
from fxpasses.quantization.numbers import ops


def test_a_clamp_that_is_left_is_kept() -> None:
    """A constant activation: its grid reaches to 255, its clamp to 6."""
    nets = (
        tiny("kept_conv", lambda: nn.Sequential(conv(), nn.ReLU6()), IMAGE),
        tiny("kept_linear", lambda: nn.Sequential(nn.Linear(7, 4), nn.ReLU6()), (3, 7)),
    )
    for net in nets:
        (call,) = find_int8_calls(quantize_net(net, INTEGERS)).values()
        call = replace(call, clamp=(0.0, 6.0), y=replace(call.y, scale=1.0, zero_point=0))
        kernel = x86_kernel(call)
        assert kernel is not None
        inputs = random_integers(call, 0, extreme=True)
        found = as_integers(kernel(*inputs))
        assert torch.equal(found, ReferenceKernel(call)(*inputs)) and int(found.max()) <= 6


@pytest.mark.parametrize("value", [0.0, 1e-30, 3e9, 1e12, 3e38, float("inf")])
def test_entrances_follow_onnx_also_for_outliers(value: float) -> None:
    """Values beyond 2**31 steps saturate, and do not wrap."""
    gm = quantized("conv_bn_relu")
    node = next(n for n in gm.graph.nodes if n.target is ops.quantize)
    q = find_int8_calls(gm)[next(n for n in gm.graph.nodes if n.name == "relu_int8")].x[0]
    x = torch.tensor([value, -value]).reshape(1, 1, 1, 2)
    assert torch.equal(quint8.as_bytes(Entrance(node)(x)), ops.quantize(x, q.scale, q.zero_point, torch.uint8))


@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=64))
def test_entrances_round_as_onnx_does(values: list[float]) -> None:
    gm = quantized("conv_bn_relu")
    node = next(n for n in gm.graph.nodes if n.target is ops.quantize)
    scale, zero_point = node.args[1], node.args[2]
    assert isinstance(scale, float) and isinstance(zero_point, int)
    halves = [(round(v) + 0.5) * scale for v in values]
    x = torch.tensor([*values, *halves])
    assert torch.equal(quint8.as_bytes(Entrance(node)(x)), ops.quantize(x, scale, zero_point, torch.uint8))


def test_exits_are_dequantize() -> None:
    gm = quantized("conv_bn_relu")
    back = next(n for n in gm.graph.nodes if n.name == "relu_float")
    (call,) = find_int8_calls(gm).values()
    q = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    expected = ops.dequantize(q, call.y.scale, call.y.zero_point)
    for integers in (q, quint8.as_quint8(q, call.y)):
        assert torch.equal(Exit(back)(integers), expected)


def test_two_threads_may_share_a_module() -> None:
    module = engine("residual_block", X86, "x86")
    inputs = [fresh_inputs(TINY["residual_block"], seed, 4) for seed in range(8)]
    expected = [outputs_of(module, x) for x in inputs]
    wrong: list[int] = []

    def work(first: int) -> None:
        for _ in range(25):
            wrong.extend(i for i in range(first, 8, 2) if not same(outputs_of(module, inputs[i]), expected[i]))

    workers = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_a_copy_is_as_good() -> None:
    module = engine("residual_block", X86, "x86")
    inputs = fresh_inputs(TINY["residual_block"], 1)
    assert same(outputs_of(copy.deepcopy(module), inputs), outputs_of(module, inputs))


def test_nothing_is_kept_between_calls() -> None:
    module = engine("squeeze_excite", X86, "x86")
    a, b = fresh_inputs(TINY["squeeze_excite"], 1), fresh_inputs(TINY["squeeze_excite"], 2, 5)
    first = outputs_of(module, a)
    outputs_of(module, b)
    assert same(outputs_of(module, a), first)


def test_the_engine_setting_of_torch_is_put_back() -> None:
    before = torch.backends.quantized.engine
    to_torch(quantized("linear_relu_linear"), "x86")
    assert torch.backends.quantized.engine == before


def test_another_image_size_than_the_captured_one() -> None:
    x = (torch.randn(2, 5, 13, 12),)
    config = QuantConfig(observer="minmax")
    expected = outputs_of(engine("adaptive_pool_to_1", config, "reference"), x)
    assert close(outputs_of(engine("adaptive_pool_to_1", config, "plain"), x), expected)
    assert same(outputs_of(engine("adaptive_pool_to_1", config, "x86"), x), expected)
