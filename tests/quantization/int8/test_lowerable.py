"""Rewrites that only int8 uses."""

from __future__ import annotations

import pytest
import torch
from odd_nets import ODD
from tiny_graphs import (
    capture_net,
    captured,
    changed_nodes,
    fresh_inputs,
    fused,
    log_of,
    operators_of,
    outputs_of,
    own_copy,
    quantized,
    skip_reasons,
)
from tiny_nets.all_nets import TINY
from torch import fx, nn

import fxpasses
from fxpasses.graph.pass_runner import Pass, run_passes
from fxpasses.quantization.config import Override
from fxpasses.quantization.int8.rewrites import batch_norm_to_conv, channel_pad_to_conv, lowering, split_silu


def run(net: str, graph_pass: Pass) -> fx.GraphModule:
    gm = captured(net) if net in TINY else capture_net(ODD[net])
    return run_passes(gm, [graph_pass])


def layer_of(gm: fx.GraphModule, suffix: str = "_as_conv") -> nn.Conv2d:
    (name,) = [name for name, _ in gm.named_modules() if name.endswith(suffix)]
    layer = gm.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    return layer


@pytest.mark.parametrize("net", ["conv_relu_bn", "bn_relu_conv", "bn_conv_padded", "bn_on_input"])
def test_a_lone_batch_norm_is_a_depthwise_convolution(net: str) -> None:
    gm = run(net, batch_norm_to_conv)
    assert "batch_norm" not in operators_of(gm)
    layer = layer_of(gm)
    assert (layer.kernel_size, layer.groups) == ((1, 1), layer.in_channels)


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("conv1d_bn_relu", "its input has 3 dimensions, a 2d convolution needs 4"),
        ("linear_bn1d_relu", "its input has 2 dimensions, a 2d convolution needs 4"),
        ("conv3d_bn_relu", "its input has 5 dimensions, a 2d convolution needs 4"),
    ],
)
def test_batch_norms_of_other_ranks(net: str, why: str) -> None:
    assert list(skip_reasons(run(net, batch_norm_to_conv), "batch_norm_to_conv").values()) == [why]


def test_a_batch_norm_that_is_not_affine() -> None:
    gm = own_copy(captured("conv_relu_bn"))
    gm.get_submodule("2").train()
    found = skip_reasons(run_passes(gm, [batch_norm_to_conv]), "batch_norm_to_conv")
    assert found == {"_2": "it normalises by the statistics of the batch, which are not known beforehand"}


def test_a_batch_norm_called_twice_becomes_two_convolutions() -> None:
    gm = run("shared_bn", batch_norm_to_conv)
    names = [name for name, _ in gm.named_modules() if "as_conv" in name]
    assert names == ["bn_as_conv", "bn_as_conv_1"]


def test_a_padded_shortcut_is_a_strided_convolution() -> None:
    gm = run("residual_padded_shortcut", channel_pad_to_conv)
    layer = layer_of(gm)
    assert (layer.in_channels, layer.out_channels, layer.stride, layer.bias) == (5, 8, (2, 2), None)
    assert torch.equal(layer.weight[1:6, :, 0, 0], torch.eye(5)) and int(layer.weight.count_nonzero()) == 5
    assert "slice" not in operators_of(gm) and "pad" not in operators_of(gm)
    (change,) = log_of(gm, "channel_pad_to_conv").result.changed
    assert change.what.startswith("is a 1x1 convolution of stride (2, 2), with getitem")


def test_a_slice_that_others_read_stays() -> None:
    gm = run("slice_before_channel_pad_read_twice", channel_pad_to_conv)
    assert "slice" in operators_of(gm)
    assert layer_of(gm).stride == (2, 3)


def test_a_pad_alone_is_a_convolution_of_stride_one() -> None:
    layer = layer_of(run("channel_pad_alone", channel_pad_to_conv))
    assert (layer.stride, layer.out_channels) == ((1, 1), 11)


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("pad", "it pads other dimensions than the channels"),
        ("pad_reflect", "it pads with something else than zero"),
        ("channel_pad_of_ones", "it pads with something else than zero"),
        ("channel_pad_cropping", "it crops"),
        ("channel_pad_by_size", "it pads by sizes that are computed"),
        ("channel_pad_of_integers", "its values are integers"),
    ],
)
def test_pads_that_are_no_convolutions(net: str, why: str) -> None:
    gm = run(net, channel_pad_to_conv)
    assert changed_nodes(gm, "channel_pad_to_conv") == []
    assert why in skip_reasons(gm, "channel_pad_to_conv").values()


def test_both_keep_the_dtype() -> None:
    for name, graph_pass in (("conv_relu_bn", batch_norm_to_conv), ("residual_padded_shortcut", channel_pad_to_conv)):
        inputs = tuple(x.bfloat16() for x in TINY[name].example_inputs())
        gm = run_passes(fxpasses.capture(TINY[name].build().bfloat16(), inputs), [graph_pass])
        assert layer_of(gm).weight.dtype is torch.bfloat16


def test_fused_nets_have_only_lone_batch_norms() -> None:
    """BatchNorms that the fold could not remove are those this pass is for."""
    gm = run_passes(fused("bn_conv_padded"), [batch_norm_to_conv])
    assert operators_of(gm) == ["conv2d", "conv2d"]


def test_silu_is_a_product_with_its_sigmoid_that_keeps_the_name() -> None:
    before = next(n.name for n in fused("silu").graph.nodes if n.target is torch.nn.functional.silu)
    gm = run_passes(fused("silu"), [split_silu])
    product = next(n for n in gm.graph.nodes if n.name == before)
    assert product.target is torch.mul and [n.target for n in product.all_input_nodes][1] is torch.sigmoid
    assert changed_nodes(gm, "split_silu") == [before]


def test_silu_in_float_stays_whole() -> None:
    config = fxpasses.QuantConfig(overrides=(Override("silu", keep_float=True),))
    gm = run_passes(fused("silu"), lowering(config))
    assert "silu" in operators_of(gm)
    assert list(skip_reasons(gm, "split_silu").values()) == ["it stays float"]


def test_silu_takes_one_table_in_torch() -> None:
    gm = quantized("silu")
    fast = fxpasses.export.to_torch(gm)
    assert "GatedTable" in {type(m).__name__ for m in fast.modules()}
    inputs = fresh_inputs(TINY["silu"], 5)
    assert all(torch.equal(a, b) for a, b in zip(outputs_of(fast, inputs), outputs_of(gm, inputs), strict=True))
