"""Settled scales: near the measured ones, and no result near a tie."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from closest_ties import closest_tie
from tiny_graphs import INTEGERS, fused, observed, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from tiny_nets.share import each_net
from torch import Tensor, fx

from fxpasses.export.engines.reference import multipliers
from fxpasses.graph.edit import operator_name, operator_of
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import find_int8_calls, qparams_of
from fxpasses.quantization.int8.plan import plan_quantization
from fxpasses.quantization.int8.scales import Scales, is_fixed, settle_scales, table_of, window_size
from fxpasses.quantization.numbers.qparams import UINT8, QParams, as_float32
from fxpasses.quantization.numbers.tie_free import MARGIN, SMALLEST_PROVABLE, simplest_fraction

REQUANTIZED_MOVES = {"mlp_mixer": "transpose"}
"""Nets in which a scale moves for another reason: a float transpose of an input that another reader quantizes, too."""
LATTICE_MOVE = 1 / 33 + 2.0**-11
"""Largest move for a lattice: its smallest tensor is 33 units at least, and an odd number of them."""


@pytest.mark.parametrize("target", ["x86", "cuda"])
@pytest.mark.parametrize("name", each_net(TINY))
def test_no_result_is_near_a_tie(name: str, target: str) -> None:
    """Checked with every integer input that the grids allow."""
    for call in find_int8_calls(
        quantized(name, QuantConfig(target=target, observer="minmax", float_results=False))
    ).values():
        if call.operator.name in (REQUANTIZED_MOVES.get(name), "interpolate"):
            continue
        if call.layer is not None and float(multipliers(call).min()) < SMALLEST_PROVABLE:
            continue  # nearly dead channels are widened in exact recipes only
        distance = closest_tie(call)
        assert distance is not None and distance >= MARGIN, f"{call.name} is {distance} from a tie"


def _gated(net: Any, x: Tensor) -> Tensor:
    """Squeeze-and-excite before a residual add: the add reads a product."""
    y = net.a(x)
    gate = torch.sigmoid(net.gate(F.adaptive_avg_pool2d(y, 1)))
    return F.relu(y * gate + x)


def _scaled_twice(net: Any, x: Tensor) -> Tensor:
    """Two products on one lattice, with factors that no layer can take."""
    y = F.relu(net.a(x)) * net.gamma + x
    out: Tensor = F.relu(net.b(y)) * net.gamma + y
    return out


JOINED_PRODUCTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gated": (_gated, {"gate": conv(5, 5, kernel=1)}),
    "scaled_twice": (_scaled_twice, {"b": conv(5, 5, padding=1), "gamma": torch.rand(5, 1, 1) + 0.1}),
    "average_added": (lambda net, x: net.a(x) + net.b(x).mean((2, 3), keepdim=True), {"b": conv(5, 5, padding=1)}),
    "matmul_added": (lambda net, x: net.a(x) @ net.b(x) + x, {"b": conv(5, 5, padding=1)}),
}


@pytest.mark.parametrize("target", ["x86", "cuda"])
@pytest.mark.parametrize("case", JOINED_PRODUCTS)
def test_products_and_averages_in_front_of_an_add(case: str, target: str) -> None:
    """The add fixes their output's scale, so an input's scale moves, and its other readers are settled again."""
    body, parts = JOINED_PRODUCTS[case]
    shape = (2, 5, 7, 7)
    gm = quantize_net(tiny(case, lambda: OneInput(body, a=conv(5, 5, padding=1), **parts), shape), QuantConfig(target))
    calls = find_int8_calls(gm).values()
    assert {"mul", "matmul", "adaptive_avg_pool2d"} & {call.operator.name for call in calls}
    for call in calls:
        distance = closest_tie(call)
        assert distance is not None and distance >= MARGIN, f"{call.name} is {distance} from a tie"


@pytest.mark.parametrize("name", ["residual_block", "cat", "mul", "avg_pools", "squeeze_excite"])
def test_scales_move_little(name: str) -> None:
    free, settled = quantized(name, replace(INTEGERS, tie_free=False)), quantized(name, INTEGERS)
    moved = [qparams_of(b).scale / qparams_of(a).scale for a, b in _grids(free, settled)]
    assert moved and all(abs(m - 1) <= LATTICE_MOVE for m in moved)
    assert any(m != 1 for m in moved)


def _grids(a: fx.GraphModule, b: fx.GraphModule) -> list[tuple[fx.Node, fx.Node]]:
    named = {n.name: n for n in b.graph.nodes if n.name.endswith("_int8")}
    return [(n, named[n.name]) for n in a.graph.nodes if n.name.endswith("_int8") and len(n.args) == 4]


def test_all_tensors_that_adds_join_are_on_one_lattice() -> None:
    """Also through each other: the second block adds to the output of the first."""
    gm = quantized("residual_block", INTEGERS)
    calls = [c for c in find_int8_calls(gm).values() if c.operator.name == "add"]
    joined = [q.scale for c in calls for q in (*c.x, c.y)]
    assert len(set(joined)) >= 4
    for scale in joined:
        ratio = simplest_fraction(scale / joined[0], 2.0**-22)
        assert ratio.numerator % 2 == 1 and ratio.denominator % 2 == 1


def test_a_clamp_stays_covered_by_the_grid() -> None:
    for name in ("add_relu6", "conv_depthwise_bn_relu6", "relu6_spellings"):
        for node in quantized(name).graph.nodes:
            if node.name.startswith(("clamp", "relu6")) and node.name.endswith("_int8"):
                q = qparams_of(node)
                assert q.range[1] <= 6 + q.scale / 2


def test_two_known_scales_that_are_joined_stay() -> None:
    """Two known ranges, of tanh and sigmoid, stay: no lattice holds both, so neither scale moves."""
    net = tiny("known_ranges", lambda: OneInput(
        lambda net, x: torch.tanh(net.a(x)) + torch.sigmoid(net.b(x)), a=conv(), b=conv()))  # fmt: skip
    gm = quantize_net(net, INTEGERS)
    (add,) = [c for c in find_int8_calls(gm).values() if c.operator.name == "add"]
    assert [x.scale * 256 for x in add.x] == [2.0, 1.0]


def test_known_scales_are_fixed() -> None:
    gm = fused("tanh")
    fixed = {operator_name(gm, n): is_fixed(gm, n) for n in gm.graph.nodes}
    assert fixed["tanh"] and not fixed["conv2d"] and not fixed[None]


def test_what_was_measured_is_left_alone() -> None:
    gm = copy_graph(fused("residual_block"))
    plan = plan_quantization(gm, QuantConfig())
    measured: Scales = {r: QParams(as_float32(0.01 + 0.001 * i), 0, UINT8) for i, r in enumerate(plan.roots)}
    before = dict(measured)
    settled = settle_scales(gm, plan, measured)
    assert measured == before and settled.keys() == measured.keys() and settled != measured
    assert all(q.zero_point == before[r].zero_point and q.grid == before[r].grid for r, q in settled.items())


@pytest.mark.parametrize(
    ("name", "operator", "sizes"),
    [
        ("adaptive_pool_to_1", "adaptive_avg_pool2d", [7 * 5]),
        ("avg_pools", "avg_pool2d", [9, 9]),
        ("squeeze_unsqueeze", "mean", [5]),
        ("embedding_linear", "mean", [6]),
        ("mul", "mul", [1, 1]),
    ],
)
def test_window_sizes(name: str, operator: str, sizes: list[int]) -> None:
    gm = fused(name)
    assert [window_size(n, operator) for n in gm.graph.nodes if operator_name(gm, n) == operator] == sizes


@pytest.mark.parametrize("name", ["hardswish", "gelu_tanh", "elu", "leaky_relu", "clamp_uneven"])
def test_a_table_is_the_function_of_every_integer(name: str) -> None:
    gm = fused(name)
    (node,) = [n for n in gm.graph.nodes if (o := operator_of(gm, n)) is not None and o.elementwise]
    table = table_of(node, QParams(0.05, 100, UINT8))
    assert table.shape == (256,) and table.dtype is torch.float32
    for q in (0, 99, 100, 101, 255):
        x = torch.tensor([(q - 100) * 0.05])
        assert callable(node.target)
        assert math.isclose(float(table[q]), float(node.target(x, **node.kwargs)), rel_tol=1e-5, abs_tol=1e-6)


def test_observed_graphs_are_what_is_settled() -> None:
    """Scales are settled by convert; the observers keep their measurements."""
    graph = observed("residual_block")
    state = [repr(m) for m in graph.modules()]
    quantized("residual_block")
    assert [repr(m) for m in graph.modules()] == state
