"""Each rewriting happens only if its conditions hold; the numbers stay."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
import torch
from int8_files import are_equal, exported, file_of, image_file, image_net, model_of, run_file
from onnx import numpy_helper
from tiny_graphs import exact_outputs, fresh_inputs, outputs_of, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import tiny
from torch import nn

from fxpasses.export.onnx_forms.int8_forms import mark_integers, settle_forms


def _kinds(content: bytes) -> list[str]:
    return [n.op_type for n in model_of(content).graph.node]


def _tensor(model: onnx.ModelProto, name: str) -> torch.Tensor:
    found = next(t for t in model.graph.initializer if t.name == name)
    return torch.from_numpy(numpy_helper.to_array(found).copy())


def _producer(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    found: onnx.NodeProto = next(n for n in model.graph.node if name in n.output)
    return found


@pytest.mark.parametrize("name", ["conv_bn_relu", "adaptive_pool_to_1", "embedding_linear", "linear_on_image"])
def test_every_dequantize_has_a_zero_point(name: str) -> None:
    nodes = [n for n in model_of(file_of(name)).graph.node if n.op_type == "DequantizeLinear"]
    assert nodes and all(len(n.input) == 3 and n.input[2] for n in nodes)


def test_a_mean_of_pixels_is_a_pool() -> None:
    kinds = _kinds(file_of("adaptive_pool_to_1"))
    assert "GlobalAveragePool" in kinds and "ReduceMean" not in kinds


def test_a_mean_of_tokens_stays() -> None:
    kinds = _kinds(file_of("embedding_linear"))
    assert "ReduceMean" in kinds and "GlobalAveragePool" not in kinds


def test_matmul_weights_are_stored_transposed() -> None:
    model = model_of(file_of("linear_on_image"))
    assert "Transpose" not in {n.op_type for n in model.graph.node}
    product = next(n for n in model.graph.node if n.op_type == "Gemm")
    dequantize = _producer(model, product.input[1])
    stored = _tensor(model, dequantize.input[0])
    original = next(b for b in quantized("linear_on_image").buffers() if b.dtype is torch.int8)
    assert torch.equal(stored, original.T)
    assert {a.name: a.i for a in dequantize.attribute}["axis"] == 1


def test_transposes_of_activations_stay() -> None:
    assert "Transpose" in _kinds(file_of("channel_shuffle"))


def test_a_softmax_between_integers_gives_what_softmax_gives() -> None:
    """onnxruntime's QLinearSoftmax gives zeros for 49 nearly even weights, whose scale is about 1/10000."""
    model = model_of(file_of("split_attention"))
    softmax = next(n for n in model.graph.node if n.op_type == "Softmax")
    guard = _producer(model, softmax.input[0])
    assert guard.op_type == "Max"
    assert _tensor(model, guard.input[1]) == -torch.inf
    _check_values("split_attention")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "window_attention"])
def test_a_softmax_of_float_logits_is_left_alone(name: str) -> None:
    """They are multiplied by a number in float, or a table is added to them."""
    kinds = _kinds(file_of(name))
    assert "Softmax" in kinds and "Max" not in kinds
    _check_values(name)


def _check_values(name: str) -> None:
    inputs = fresh_inputs(TINY[name], 5, 3)
    (found,) = run_file(file_of(name), inputs)
    (expected,) = outputs_of(quantized(name), inputs)
    largest = expected.abs().max()
    assert float((found - expected).abs().max() / largest) < 1 / 100  # one step of 255, where a softmax rounds
    assert float(largest) > 0


def test_images_are_padded_to_four_channels() -> None:
    model = model_of(image_file())
    conv = next(n for n in model.graph.node if n.op_type == "Conv")
    weight = _tensor(model, _producer(model, conv.input[1]).input[0])
    assert weight.shape == (8, 4, 3, 3)
    assert not weight[:, 3].any() and weight[:, :3].any()
    pad = _producer(model, _producer(model, conv.input[0]).input[0])
    assert pad.op_type == "Pad"
    assert _tensor(model, pad.input[1]).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    for batch in (1, 5):
        images = torch.randn(batch, 3, 9, 7)
        assert are_equal(exact_outputs(image_net(), (images,)), run_file(image_file(), (images,)))


def test_grouped_convolutions_are_not_padded() -> None:
    assert "Pad" not in _kinds(file_of("conv_depthwise_bn_relu6"))


def test_only_the_first_convolution_is_padded() -> None:
    model = model_of(file_of("residual_block"))
    convs = [n for n in model.graph.node if n.op_type == "Conv"]
    channels = [_tensor(model, _producer(model, n.input[1]).input[0]).shape[1] for n in convs]
    assert channels == [8, 5, 5, 5]


@pytest.mark.parametrize("name", ["conv_bn_relu", "adaptive_pool_to_1"])
def test_nobody_is_without_reader(name: str) -> None:
    graph = model_of(file_of(name)).graph
    read = {i for n in graph.node for i in n.input} | {o.name for o in graph.output}
    assert all(set(n.output) & read for n in graph.node)
    assert {t.name for t in graph.initializer} <= read


def test_names_stay_where_others_are_folded_away() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18]> net (float[N, 4] x) => (float[N, 4] y)
    <float scale = {0.5}, uint8 zero = {128}> {
        unread = QuantizeLinear(x, scale, zero)
        read = QuantizeLinear(x, scale, zero)
        y = DequantizeLinear(read, scale, zero)
    }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    mark_integers(model, ["first_int8", "second_int8"])
    settle_forms(model)
    assert [n.outputs[0].name for n in model.graph if n.op_type == "QuantizeLinear"] == ["second_int8"]
    assert not any(n.metadata_props for n in model.graph)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_what_is_padded_is_what_the_graph_pads(value: float) -> None:
    """Zeros are padded on the integers; any other value in float, between two grids."""
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConstantPad2d(1, value), nn.Conv2d(4, 5, 3))
    net = tiny(f"padded_{value}", lambda: body, (2, 3, 9, 8))
    gm = quantize_net(net)
    inputs = fresh_inputs(net, 5)
    (found,), (expected,) = run_file(exported(gm), inputs), exact_outputs(gm, inputs)
    assert torch.equal(found, expected)
