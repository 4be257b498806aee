"""Margins are proofs, and exact=True accepts nothing weaker."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_graphs import fresh_inputs, fused, observed, outputs_of, quantized
from tiny_nets.all_nets import TINY
from torch import Tensor

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.exactness import Margin, float_islands, margins, require_exact, unsafe_layers
from fxpasses.quantization.int8.int8_calls import Int8Call, find_int8_calls
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.tie_free import MARGIN

EXACT = QuantConfig(exact=True)
FREE = QuantConfig(tie_free=False, float_results=False)
EXACT_NETS = ("conv_bn_relu", "residual_block", "cat", "conv_depthwise_bn_relu6", "adaptive_pool_to_1", "mul")

LARGEST_LOSS_DB = 0.5


@pytest.mark.parametrize("name", EXACT_NETS)
def test_exact_nets_are_proved(name: str) -> None:
    gm = quantized(name, EXACT)
    require_exact(gm)
    found = margins(gm)
    assert [m.node for m in found] == [n.name for n in gm.graph.nodes if n.target is ops.quantize]
    assert all(m.is_proof and m.distance >= MARGIN for m in found)


def test_an_input_has_no_margin_to_keep() -> None:
    assert margins(quantized("conv_bn_relu"))[0].distance == math.inf


def test_the_bound_of_a_margin() -> None:
    assert Margin("x", MARGIN).is_proof
    assert not Margin("x", MARGIN * 0.999).is_proof


def _exact_steps(call: Int8Call) -> Tensor:
    """Results ``acc * m`` of a layer for every accumulator that does not saturate, ``[C, N]`` float64."""
    assert call.layer is not None
    multiplier = call.x[0].scale * call.layer.weight_scale.double() / call.y.scale
    accumulators = torch.arange(-(2**17), 2**17, dtype=torch.float64)
    steps = multiplier[:, None] * accumulators
    return torch.where(steps.abs() <= 256, steps, 0.0)


@pytest.mark.parametrize("name", ["conv_bn_relu", "residual_block", "linear_relu_linear"])
def test_margins_of_layers_hold_for_every_accumulator(name: str) -> None:
    gm = quantized(name)
    calls = {c.name: c for c in find_int8_calls(gm).values() if c.layer is not None}
    assert calls
    for margin in margins(gm):
        if margin.node in calls:
            steps = _exact_steps(calls[margin.node])
            nearest = float((steps - steps.floor() - 0.5).abs().min())
            assert MARGIN <= margin.distance <= nearest


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("layer_norm", "_1 is computed in float"),
        ("interpolate_bilinear", "interpolate.* is computed in float"),
        ("conv_transpose2d_bn", "onnxruntime computes transposed convolutions in float"),
    ],
)
def test_exact_refuses_what_it_cannot_show(name: str, why: str) -> None:
    graph = fxpasses.observe(fused(name), EXACT)
    fxpasses.calibrate(graph, [fresh_inputs(TINY[name], 0)])
    with pytest.raises(GraphError, match=rf"(?s)node '\w+_int8'.*engines may round here in different ways: .*{why}"):
        fxpasses.convert(graph)


def test_the_first_node_is_named_and_the_others_listed() -> None:
    gm = quantized("residual_block", FREE)
    unproved = [m.node for m in margins(gm) if not m.is_proof]
    assert len(unproved) > 1
    with pytest.raises(GraphError, match=rf"node '{unproved[0]}', and {len(unproved) - 1} more: {unproved[1]}"):
        require_exact(gm)


def test_free_scales_prove_nothing() -> None:
    free = {m.node: m for m in margins(quantized("conv_bn_relu", FREE))}
    settled = {m.node: m for m in margins(quantized("conv_bn_relu"))}
    assert any(not m.is_proof and m.why for m in free.values())
    assert all(m.is_proof for m in settled.values())


def test_exact_rests_on_tie_free() -> None:
    with pytest.raises(InputError, match="exact rests on tie-free scales"):
        QuantConfig(exact=True, tie_free=False)


def test_float_islands() -> None:
    assert float_islands(quantized("conv_bn_relu")) == []
    assert float_islands(quantized("layer_norm"))


def _sqnr_db(expected: Tensor, found: Tensor) -> float:
    return float(10 * torch.log10(expected.double().square().sum() / (expected - found).double().square().sum()))


@pytest.mark.parametrize("name", ["conv_bn_relu", "residual_block", "adaptive_pool_to_1", "cat"])
def test_exactness_costs_little(name: str) -> None:
    inputs = fresh_inputs(TINY[name], 50, batch=64)
    (expected,) = outputs_of(fused(name), inputs)
    free, exact = (_sqnr_db(expected, outputs_of(quantized(name, c), inputs)[0]) for c in (FREE, EXACT))
    assert exact > free - LARGEST_LOSS_DB
    assert exact > 20


def test_observed_graph_of_the_nets_is_not_changed_by_convert() -> None:
    before = observed("conv_bn_relu").code
    quantized("conv_bn_relu", EXACT)
    assert observed("conv_bn_relu").code == before


def test_layers_that_could_saturate_are_named() -> None:
    full = quantized("linear_relu_linear", QuantConfig(target="x86", observer="minmax"))
    assert len(unsafe_layers(full)) == 2, "one gives integers, one floats"
    assert unsafe_layers(quantized("linear_relu_linear", QuantConfig(target="x86-avx2", observer="minmax"))) == []


def test_exact_demands_safe_pairs_for_avx2() -> None:
    require_exact(quantized("conv_bn_relu", QuantConfig(target="x86-avx2", exact=True)), pair_safe=True)
    with pytest.raises(GraphError, match=r'(?s)two of its weights add up to more than 128.*target="x86-avx2"'):
        require_exact(quantized("conv_bn_relu", EXACT), pair_safe=True)
