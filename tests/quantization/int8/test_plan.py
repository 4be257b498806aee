"""Operators that run in int8, and those that stay float, with each reason."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plan_cases import READ_IN_FLOAT, Body, plan_body, plan_of
from tiny_graphs import fused, node_named, own_copy
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.share import each_net
from torch import Tensor, nn

import fxpasses
from fxpasses.graph.edit import operator_name, operator_of
from fxpasses.graph.meta_keys import SHAPE
from fxpasses.graph.operators import Scaling
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.plan import plan_quantization, shares_scale, tensors_of, upper_bound


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_node_of_the_vocabulary_is_int8_float_or_absorbed(name: str) -> None:
    gm, plan = plan_of(name)
    for node in gm.graph.nodes:
        if operator_of(gm, node) is not None and SHAPE in node.meta:
            assert (node in plan.int8) + (node in plan.why_float) + (node in plan.absorbed) == 1, node.name
    assert all(why.strip() for why in plan.why_float.values())


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_int8_node_reads_and_gives_tensors_with_a_root(name: str) -> None:
    _, plan = plan_of(name)
    for node, operator in plan.int8.items():
        assert (plan.result_of(node) in plan.root) is (node not in plan.float_results)
        if operator.name != "embedding":
            assert tensors_of(node) and all(t in plan.root for t in tensors_of(node))
    assert all(plan.root[root] is root for root in plan.roots)


@pytest.mark.parametrize("name", each_net(TINY))
def test_planning_changes_nothing(name: str) -> None:
    gm = own_copy(fused(name))
    code = gm.code
    plan_quantization(gm, QuantConfig())
    gm.recompile()
    assert gm.code == code


REASONS: dict[str, tuple[Body, str]] = {
    "add_number": (lambda net, x: net.a(x).relu() + 2, "one operand is a number, not a tensor"),
    "mul_number": (lambda net, x: net.a(x).relu() * 2.5, "one operand is a number, not a tensor"),
    "add_batch_size": (lambda net, x: net.a(x) + x.size(0), "one operand is a number, not a tensor"),
    "add_integers": (lambda net, x: net.a(x) + net.whole, "one operand is no float32 tensor"),
    "add_double": (lambda net, x: torch.add(net.a(x), net.b(x), alpha=2), "it adds a multiple of its second operand"),
    "cat_integers": (lambda net, x: torch.cat([net.a(x), net.whole.expand(2, -1, -1, -1)], 1),
                     "its parts are not one float32 tensor each"),
    "cat_split": (lambda net, x: torch.cat(net.a(x).chunk(2, 0), 1), "its parts are not one float32 tensor each"),
    "chunk_of_batch": (lambda net, x: torch.cat(net.a(x).chunk(2, 0), 1), "it gives several tensors at once"),
    "uneven_windows": (lambda net, x: F.adaptive_avg_pool2d(net.a(x), (2, 3)),
                       "windows of different sizes have no int8 kernel"),
    "pad_value": (lambda net, x: F.pad(net.a(x), (1, 1), value=0.5), "it pads with something else than zero"),
    "pad_computed": (lambda net, x: F.pad(net.a(x), (0, x.size(3))), "its settings are computed in the graph"),
    "interpolate_computed": (lambda net, x: F.interpolate(net.a(x), size=(x.size(2) * 2, 5)),
                             "its settings are computed in the graph"),
    "move_float": (lambda net, x: net.a(x.flip(3).transpose(2, 3)), "it only moves values, and they are float here"),
    "move_integers": (lambda net, x: net.a(x) + x.long().transpose(1, 2).float().mean(), "its values are not float32"),
    "softmax": (lambda net, x: net.a(x).softmax(1), "a softmax over int8 logits loses its tail"),
    "sub": (lambda net, x: net.a(x) - net.b(x), "no int8 kernel in either runtime"),
    "max_norm": (lambda net, x: net.a(x) + net.rescaled(x.abs().long().clamp(max=6)).mean(),
                 "it rescales its table as it reads it (max_norm)"),
}  # fmt: skip


def _parts() -> dict[str, nn.Module | Tensor]:
    return {
        "whole": torch.arange(8 * 9 * 7).reshape(8, 9, 7),
        "rescaled": nn.Embedding(7, 3, max_norm=1.0),
    }


@pytest.mark.parametrize("case", REASONS)
def test_reasons_to_stay_float(case: str) -> None:
    body, why = REASONS[case]
    _, plan = plan_body(body, **_parts())
    assert why in plan.why_float.values()


def test_layers_that_compute_their_weight_stay_float() -> None:
    gm = own_copy(fused("linear_relu_linear"))
    nn.utils.spectral_norm(gm.get_submodule("0"))
    gm.get_submodule("2").register_forward_hook(lambda module, inputs, output: output * 2)
    plan = plan_quantization(gm, QuantConfig())
    assert plan.why_float == {
        node_named(gm, "_0"): "its weight is computed at every call, by a hook or a parametrization",
        node_named(gm, "_2"): "a forward hook sees its input or changes its output",
        node_named(gm, "relu"): READ_IN_FLOAT,
    }


@pytest.mark.parametrize("settings", [{"padding_mode": "reflect", "padding": 1}, {"padding": "same"}])
def test_padding_that_capture_did_not_write_as_zeros(settings: dict[str, Any]) -> None:
    gm = own_copy(fused("conv_bn_relu"))
    (node,) = [n for n in gm.graph.nodes if n.op == "call_module"]
    gm.set_submodule(str(node.target), conv(5, 8, **settings))
    plan = plan_quantization(gm, QuantConfig())
    assert plan.why_float[node] == "capture did not write its padding as zeros on both sides"


class _Upsampling(nn.Module):
    """Up to the size of the input, whatever that is."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = conv(3, 3, stride=2, padding=1), nn.ConvTranspose2d(3, 3, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.up(self.down(x), output_size=x.size())
        return made


def test_a_size_that_is_computed_keeps_a_layer_float() -> None:
    free = {"x": {2: "height", 3: "width"}}
    gm = fxpasses.fuse(fxpasses.capture(_Upsampling().eval(), torch.randn(2, 3, 8, 8), dynamic=free))
    assert "it is called with more than its input" in plan_quantization(gm, QuantConfig()).why_float.values()


def test_other_dtypes_stay_float() -> None:
    net = TINY["conv_bn_relu"]
    gm = fxpasses.fuse(fxpasses.capture(net.build().double(), tuple(x.double() for x in net.example_inputs())))
    plan = plan_quantization(gm, QuantConfig())
    assert set(plan.why_float.values()) == {"its values are not float32"} and not plan.int8


@pytest.mark.parametrize("match", ["_2", "2", "line*"])
def test_an_override_keeps_float(match: str) -> None:
    """Nodes are matched by name, by module path, or by operator."""
    gm, plan = plan_of("linear_relu_linear", Override(match, keep_float=True))
    assert plan.why_float[node_named(gm, "_2")] == "kept in float by an override"
    assert (node_named(gm, "_0") in plan.int8) == (match != "line*")


def test_a_kept_activation_is_not_absorbed() -> None:
    gm, plan = plan_of("conv_bn_relu", Override("relu", keep_float=True))
    assert not plan.absorbed and plan.root[node_named(gm, "_0")] is node_named(gm, "_0")


@pytest.mark.parametrize(
    ("name", "activations"),
    [
        ("conv_bn_relu", 1),
        ("conv_depthwise_bn_relu6", 1),
        ("add_relu6", 1),
        ("residual_block", 4),
        ("cat", 1),
        ("clamp_above_zero", 0),
        ("clamp_uneven", 0),
        ("conv_read_by_relu_and_output", 0),
        ("relu_on_input", 0),
        ("max_pools", 1),
    ],
)
def test_absorbs_activations_that_start_at_zero(name: str, activations: int) -> None:
    _, plan = plan_of(name, float_results=False)
    assert len(plan.absorbed) == activations


def test_the_root_of_an_absorbed_activation_is_the_activation() -> None:
    gm, plan = plan_of("conv_bn_relu")
    relu = node_named(gm, "relu")
    assert plan.absorbed == {relu: node_named(gm, "_0")}
    assert plan.result_of(node_named(gm, "_0")) is relu and relu in plan.roots


def test_moving_shares_the_scale_and_computing_does_not() -> None:
    gm, plan = plan_of("flatten", float_results=False)
    names = {operator_name(gm, node): node for node in plan.int8}
    assert plan.root[names["flatten"]] is names["conv2d"]
    assert plan.root[names["linear"]] is names["linear"]


def test_nearest_interpolation_moves_and_bilinear_computes() -> None:
    for name, shares in (("interpolate_nearest", True), ("interpolate_bilinear", False)):
        gm, plan = plan_of(name)
        (node,) = [n for n in plan.int8 if operator_name(gm, n) == "interpolate"]
        operator = operator_of(gm, node)
        assert operator is not None and shares_scale(node, operator) is shares
        assert (plan.root[node] is node) is not shares


def test_float_islands_have_entrances() -> None:
    gm, plan = plan_of("softmax")
    (softmax,) = [n for n in plan.why_float if operator_name(gm, n) == "softmax"]
    assert plan.root[softmax] is softmax, "the convolution behind it reads it as integers"


def test_tensors_of_a_list_and_of_one_tensor_twice() -> None:
    gm = fused("cat_same_twice")
    (cat,) = [n for n in gm.graph.nodes if operator_name(gm, n) == "cat"]
    assert [t.name for t in tensors_of(cat)] == ["a", "a"]


def test_upper_bounds() -> None:
    gm = fused("conv_depthwise_bn_relu6")
    bounds = {operator_name(gm, n): upper_bound(gm, n) for n in gm.graph.nodes}
    assert bounds["clip"] == 6.0 and bounds["conv2d"] == math.inf
    assert upper_bound(fused("conv_bn_relu"), node_named(fused("conv_bn_relu"), "relu")) == math.inf


def test_shared_scaling_is_declared_by_the_vocabulary() -> None:
    gm = fused("max_pools")
    pools = [n for n in gm.graph.nodes if operator_name(gm, n) == "max_pool2d"]
    operators = [operator_of(gm, n) for n in pools]
    assert [o.scaling for o in operators if o is not None] == [Scaling.SHARED] * 2
