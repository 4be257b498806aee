"""A QUANTIZED graph is read as integer operations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_graphs import X86, node_named, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from tiny_nets.share import each_net
from torch import fx, nn

from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.int8_calls import Int8Call, find_float_results, find_int8_calls, qparams_of
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import INT8, UINT8, QParams

CUDA = QuantConfig(target="cuda", observer="minmax")


def calls_of(gm: fx.GraphModule) -> list[Int8Call]:
    return list(find_int8_calls(gm).values())


def names_of(gm: fx.GraphModule) -> list[str]:
    return [call.operator.name for call in calls_of(gm)]


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_call_stands_between_integers(name: str) -> None:
    for call in calls_of(quantized(name)):
        assert call.output.target is ops.quantize and call.name == call.output.name
        assert len(call.inputs) == len(call.x) >= 1
        assert all(n.target is ops.quantize or n.op == "get_attr" for n in call.inputs)
        read = [(x, n) for x, n in zip(call.x, call.inputs, strict=True) if n.target is ops.quantize]
        assert all(x == qparams_of(n) for x, n in read)
        assert call.y == qparams_of(call.output)
        assert call.node.op == "call_function"


def test_a_layer_has_its_integers() -> None:
    (call,) = calls_of(quantized("conv_bn_relu"))
    layer = call.layer
    assert layer is not None and layer.bias is not None
    assert (layer.weight.dtype, tuple(layer.weight.shape), layer.axis) == (torch.int8, (8, 5, 3, 3), 0)
    assert (layer.weight_scale.dtype, layer.weight_scale.shape) == (torch.float32, (8,))
    assert (layer.bias.dtype, layer.bias.shape) == (torch.int32, (8,))
    assert (call.clamp, call.shares_scale) == (None, False)


def test_a_layer_without_bias() -> None:
    (call,) = calls_of(quantized("linear_without_bias", replace(X86, bias_correction=False, float_results=False)))
    assert call.layer is not None and call.layer.bias is None


def test_a_layer_that_nothing_quantizes_gives_floats() -> None:
    gm = quantized("linear_relu_linear")
    (result,) = find_float_results(gm).values()
    assert result.node not in {call.node for call in calls_of(gm)} and result.node.target is torch.nn.functional.linear
    assert result.input.target is ops.quantize and result.x == qparams_of(result.input)
    assert result.layer.bias is not None and result.layer.bias.dtype is torch.int32
    assert torch.equal(result.scale, torch.tensor(result.x.scale) * result.layer.weight_scale)
    assert not find_float_results(quantized("linear_relu_linear", replace(X86, float_results=False)))


def test_a_transposed_layer_has_its_outputs_on_axis_1() -> None:
    (call,) = calls_of(quantized("conv_transpose2d_bn"))
    assert call.layer is not None and call.layer.axis == 1 and call.layer.weight_scale.shape == (7,)


def test_a_clamp_that_saturation_does_not_cover() -> None:
    """Symmetric grids reach below zero: the ReLU stays, between operator and quantize."""
    (call,) = calls_of(quantized("conv_bn_relu", CUDA))
    assert call.clamp == (0.0, float("inf")) and call.operator.name == "conv2d"


def test_moving_shares_the_parameters() -> None:
    calls = {call.operator.name: call for call in calls_of(quantized("flatten", replace(X86, float_results=False)))}
    assert calls["flatten"].shares_scale and not calls["linear"].shares_scale


def test_two_tensors_in_order() -> None:
    gm = quantized("cat", replace(X86, float_results=False))
    (call,) = [c for c in calls_of(gm) if c.operator.name == "cat"]
    assert [n.name for n in call.inputs] == ["a_int8", "b_int8", "x_int8"]
    assert call.settings == {"dim": 1}


def test_one_tensor_twice() -> None:
    (call,) = [
        c for c in calls_of(quantized("add_to_itself", replace(X86, float_results=False))) if c.operator.name == "add"
    ]
    assert call.inputs[0] is call.inputs[1]


@pytest.mark.parametrize(
    ("name", "island"),
    [
        ("softmax", "softmax"),
        ("prelu_shared", "prelu"),
        ("layer_norm", "layer_norm"),
        ("group_norm", "group_norm"),
        ("sub", "sub"),
        ("adaptive_pool_to_2x3", "adaptive_avg_pool2d"),
        ("add_scaled", "add"),
    ],
)
def test_float_between_integers_is_no_call(name: str, island: str) -> None:
    """An operator that the plan left in float stays float between integers."""
    assert island not in names_of(quantized(name))


def test_a_number_as_operand_is_no_call() -> None:
    net = tiny("scaled", lambda: OneInput(lambda net, x: net.b(net.a(x) * 0.3), a=conv(), b=conv(8, 3)))
    assert names_of(quantize_net(net)) == ["conv2d", "conv2d"]


@pytest.mark.parametrize("match", ["_2", "linear"])
def test_a_layer_kept_in_float_is_no_call(match: str) -> None:
    gm = quantize_net(TINY["linear_relu_linear"], QuantConfig(overrides=(Override(match, keep_float=True),)))
    assert names_of(gm) == (["linear"] if match == "_2" else ["relu"])
    assert isinstance(gm.get_submodule("2"), nn.Linear)


def test_parameters_of_quantize_and_dequantize_agree() -> None:
    for config, grid in ((X86, UINT8), (CUDA, INT8)):
        gm = quantized("conv_bn_relu", config)
        q, back = node_named(gm, "relu_int8"), node_named(gm, "relu_float")
        found = qparams_of(q)
        assert found == qparams_of(back) == QParams(found.scale, found.zero_point, grid)


def test_parameters_of_a_table() -> None:
    for config, grid in ((X86, UINT8), (CUDA, INT8)):
        gm = quantized("embedding_linear", config)
        (table,) = [n for n in gm.graph.nodes if n.target is ops.dequantize and n.all_input_nodes[0].op == "get_attr"]
        assert qparams_of(table).grid == grid
