"""Folding BatchNorm into the layer before or after: the nets it changes, and each reason it gives."""

from __future__ import annotations

import pytest
import torch
from odd_nets import ODD
from tiny_graphs import capture_net, captured, changed_nodes, fresh_inputs, operators_of, outputs_of, skip_reasons
from tiny_nets.all_nets import TINY
from tiny_nets.net import tiny
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.graph.pass_runner import Pass, run_passes
from fxpasses.models.training.settle import settle
from fxpasses.passes.batch_norm import (
    affine_of,
    batch_norm_of,
    fold_batch_norm,
    fold_batch_norm_forward,
    why_not_affine,
)

AFFINE_TOLERANCE = 1e-14
"""A handful of float64 roundings (2**-53 each) of values near one."""


def run(net: str, *passes: Pass) -> fx.GraphModule:
    gm = captured(net) if net in TINY else capture_net(ODD[net])
    return run_passes(gm, passes)


@pytest.mark.parametrize("affine", [True, False])
def test_affine_is_what_the_batch_norm_computes(affine: bool) -> None:
    bn = settle(nn.BatchNorm2d(6, eps=0.1, affine=affine)).double()
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    found = affine_of(bn)
    column = (1, 6, 1, 1)
    expected = found.factor.reshape(column) * x + found.shift.reshape(column)
    assert torch.allclose(bn(x), expected, rtol=AFFINE_TOLERANCE, atol=AFFINE_TOLERANCE)


FOLDED_BEHIND = {
    "conv_bn_relu": 1,
    "conv_bn_without_bias": 1,
    "conv_bn_not_affine": 1,
    "conv_bn_other_eps": 1,
    "conv_bn_bn": 2,
    "conv_grouped_bn": 1,
    "conv_depthwise_bn_relu6": 1,
    "conv_padding_same": 1,
    "conv_padding_reflect": 1,
    "conv1d_bn_relu": 1,
    "conv3d_bn_relu": 1,
    "conv_transpose1d_bn": 1,
    "conv_transpose2d_bn": 1,
    "conv_transpose2d_grouped_bn": 1,
    "conv_transpose3d_bn": 1,
    "linear_bn1d_relu": 1,
    "functional_bn": 1,
    "shared_bn": 2,
    "tied_weights": 1,
    "nested_names": 1,
    "bn_dead_channel": 1,
    "bn_by_keyword": 1,
    "weight_by_hook": 1,
}


@pytest.mark.parametrize("net", FOLDED_BEHIND)
def test_folds_behind(net: str) -> None:
    gm = run(net, fold_batch_norm)
    assert len(changed_nodes(gm, "fold_batch_norm")) == FOLDED_BEHIND[net]
    assert "batch_norm" not in operators_of(gm)
    assert skip_reasons(gm, "fold_batch_norm") == {}


FOLDED_AHEAD = (
    "bn_conv",
    "bn_conv_grouped",
    "bn_linear",
    "bn_conv3d",
    "bn_reflect_conv",
    "bn_padded_without_shift",
    "weight_by_hook_after_bn",
)


@pytest.mark.parametrize("net", FOLDED_AHEAD)
def test_folds_ahead(net: str) -> None:
    gm = run(net, fold_batch_norm_forward)
    assert len(changed_nodes(gm, "fold_batch_norm_forward")) == 1
    assert "batch_norm" not in operators_of(gm)


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("conv_relu_bn", "it follows relu, which is no convolution or linear layer"),
        ("bn_on_input", "it follows input_1, which is no convolution or linear layer"),
        ("conv_with_two_readers", "conv has other readers: add"),
        ("shared_conv_one_bn", "the layer of conv is called at 2 places"),
        ("linear_bn1d_over_rows", "_0 has features in its last dimension, the BatchNorm in dimension 1"),
        ("weight_read_elsewhere", "the layer of conv is read by conv_bias too"),
    ],
)
def test_reasons_not_to_fold_behind(net: str, why: str) -> None:
    gm = run(net, fold_batch_norm)
    assert changed_nodes(gm, "fold_batch_norm") == []
    assert why in next(iter(skip_reasons(gm, "fold_batch_norm").values()))


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("bn_read_twice", "it has no single reader"),
        ("bn_relu_conv", "relu, which reads it, is no convolution or linear layer"),
        ("bn_transposed_conv", "_1, which reads it, is no convolution or linear layer"),
        ("bn_conv_padded", "_1 pads with zeros after the BatchNorm's shift"),
        ("weight_read_elsewhere_ahead", "the layer of conv is read by conv_bias too"),
    ],
)
def test_reasons_not_to_fold_ahead(net: str, why: str) -> None:
    gm = run(net, fold_batch_norm_forward)
    assert changed_nodes(gm, "fold_batch_norm_forward") == []
    assert list(skip_reasons(gm, "fold_batch_norm_forward").values()) == [why]


def test_a_linear_layer_that_reads_another_dimension() -> None:
    net = tiny("bn_linear_over_rows", lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(11, 4)), (2, 6, 11))
    gm = run_passes(capture_net(net), [fold_batch_norm_forward])
    assert list(skip_reasons(gm, "fold_batch_norm_forward").values()) == [
        "_1 reads another dimension than it normalises"
    ]


def test_a_shared_layer_ahead() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn, self.conv = nn.BatchNorm2d(5), nn.Conv2d(5, 5, 1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.conv(self.conv(self.bn(x)))
            return out

    gm = run_passes(capture_net(tiny("bn_shared_conv", Twice)), [fold_batch_norm_forward])
    assert list(skip_reasons(gm, "fold_batch_norm_forward").values()) == ["the layer of conv is called at 2 places"]


def _spoil(gm: fx.GraphModule, how: str) -> None:
    bn = batch_norm_of(gm, next(n for n in gm.graph.nodes if n.target == "1"))
    if how == "training":
        bn.train()
    elif how == "no statistics":
        bn.running_mean = bn.running_var = None
    elif how == "zero variance":
        bn.eps = 0.0
        assert bn.running_var is not None
        bn.running_var[2] = 0.0
    elif how == "nan":
        bn.bias.detach()[1] = float("nan")
    else:
        bn.register_forward_hook(lambda module, inputs, output: output * 2)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("training", "it normalises by the statistics of the batch, which are not known beforehand"),
        ("no statistics", "it normalises by the statistics of the batch, which are not known beforehand"),
        ("zero variance", "its statistics or parameters are not finite, or its variance is zero"),
        ("nan", "its statistics or parameters are not finite, or its variance is zero"),
        ("hook", "a forward hook sees its input or changes its output"),
    ],
)
@pytest.mark.parametrize("graph_pass", [fold_batch_norm, fold_batch_norm_forward])
def test_a_batch_norm_that_is_not_affine(graph_pass: Pass, how: str, why: str) -> None:
    gm = capture_net(TINY["conv_bn_relu"])
    _spoil(gm, how)
    assert why_not_affine(gm, next(n for n in gm.graph.nodes if n.target == "1")) == why
    spoilt = run_passes(gm, [graph_pass])
    assert list(skip_reasons(spoilt, graph_pass.__name__).values()) == [why]


def test_folding_rounds_each_weight_once() -> None:
    """The folded float32 weight is the nearest float32 to the exact product."""
    gm = run("conv_bn_without_bias", fold_batch_norm)
    source = captured("conv_bn_without_bias")
    conv, bn = source.get_submodule("0"), source.get_submodule("1")
    assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
    exact = conv.weight.double() * affine_of(bn).factor.reshape(-1, 1, 1, 1)
    folded = gm.get_submodule("0")
    assert isinstance(folded, nn.Conv2d) and folded.bias is not None
    assert torch.equal(folded.weight, exact.float())
    assert torch.equal(folded.bias, affine_of(bn).shift.float())


def test_tied_weights_are_untied_by_folding_one() -> None:
    gm = run("tied_weights", fold_batch_norm)
    source = captured("tied_weights")
    assert torch.equal(gm.get_parameter("second.weight"), source.get_parameter("second.weight"))
    assert not torch.equal(gm.get_parameter("first.weight"), source.get_parameter("first.weight"))


def test_half_precision_stays_half() -> None:
    net = TINY["conv_bn_relu"]
    inputs = tuple(x.bfloat16() for x in net.example_inputs())
    gm = run_passes(fxpasses.capture(net.build().bfloat16(), inputs), [fold_batch_norm])
    assert {p.dtype for p in gm.parameters()} == {torch.bfloat16}
    assert outputs_of(gm, tuple(x.bfloat16() for x in fresh_inputs(net, 1)))[0].dtype is torch.bfloat16
