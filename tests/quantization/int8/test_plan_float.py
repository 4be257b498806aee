"""Tensors that only float operators read: sums and the like stay float, linear layers give floats."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plan_cases import READ_IN_FLOAT, Body, plan_body, plan_of
from tiny_graphs import capture_net, fused
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from torch import Tensor, nn

from fxpasses.graph.edit import operator_name
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.plan import plan_quantization

STREAMS: dict[str, tuple[Body, int]] = {
    "read_by_a_norm": (lambda net, x: net.head(net.norm(net.a(x) + net.b(x))), 1),
    "a_stream": (lambda net, x: net.head(net.norm(_stream(net, net.a(x) + net.b(x)))), 4),
    "by_way_of_moves": (
        lambda net, x: net.head(net.norm((net.a(x) + net.b(x)).transpose(2, 3).flatten(2)[..., None])),
        1,
    ),
    "a_bias_before_softmax": (lambda net, x: net.head((net.a(x) + net.table).softmax(-1)), 1),
    "parts_of_a_norm": (lambda net, x: net.wide_head(net.wide_norm(torch.cat([net.a(x), net.b(x)], 1))), 1),
    "its_shape_too": (lambda net, x: _norm_and_size(net, net.a(x) + net.b(x)), 1),
    "a_layer_of_its_own": (lambda net, x: net.head(net.norm(net.a(x))), 0),
    "by_a_layer_as_well": (lambda net, x: net.head(_norm_and_layer(net, net.a(x) + net.b(x))), 0),
    "by_a_sum_that_a_layer_reads": (
        lambda net, x: net.head(_norm_and_layer(net, net.a(x) + net.b(x) + net.a(x).sigmoid())),
        0,
    ),
    "the_output": (lambda net, x: net.a(x) + net.b(x), 1),
    "the_output_as_well": (lambda net, x: _norm_and_itself(net, net.a(x) + net.b(x)), 1),
    "an_output_and_a_layer": (lambda net, x: _head_and_itself(net, net.a(x) + net.b(x)), 0),
    "joined_at_the_end": (lambda net, x: torch.cat([net.a(x), net.b(x).sigmoid()], 1), 2),
    "joined_and_moved": (lambda net, x: torch.cat([net.a(x), net.b(x)], 1).flatten(2).transpose(1, 2), 1),
    "stacked_at_the_end": (lambda net, x: torch.stack([net.a(x).sigmoid(), net.b(x)], 1), 1),
    "padded_at_the_end": (lambda net, x: F.pad(net.a(x) * net.b(x), (1, 2)), 1),
    "taken_apart_for_a_layer": (
        lambda net, x: net.wide_head(torch.cat([net.a(x), *(net.a(x) + net.b(x)).chunk(2, 1)], 1)),
        0,
    ),
    "taken_apart_at_the_end": (lambda net, x: torch.cat([net.a(x), net.b(x)], 1).split((3, 13), 1), 1),
}


def _stream(net: Any, y: Tensor) -> Tensor:
    gated: Tensor = net.norm(y) * y.sigmoid()
    return y + gated


def _norm_and_size(net: Any, y: Tensor) -> Tensor:
    found: Tensor = net.head(net.norm(y)).reshape(y.size(0), -1)
    return found


def _norm_and_layer(net: Any, y: Tensor) -> Tensor:
    found: Tensor = net.norm(y) + net.b2(y)
    return found


def _head_and_itself(net: Any, y: Tensor) -> tuple[Tensor, Tensor]:
    return net.head(y), y


def _norm_and_itself(net: Any, y: Tensor) -> tuple[Tensor, Tensor]:
    return net.head(net.norm(y)), y


@pytest.mark.parametrize("case", STREAMS)
def test_what_only_float_operators_read_stays_float(case: str) -> None:
    body, expected = STREAMS[case]
    parts: dict[str, nn.Module | Tensor] = {
        "head": conv(8, 4, kernel=1),
        "wide_head": conv(16, 4, kernel=1),
        "b2": conv(8, 8, kernel=1),
        "table": torch.randn(9, 7),
    }
    gm, plan = plan_body(body, **parts, norm=nn.GroupNorm(2, 8), wide_norm=nn.GroupNorm(2, 16))
    assert list(plan.why_float.values()).count(READ_IN_FLOAT) == expected
    layers = [n for n in gm.graph.nodes if operator_name(gm, n) == "conv2d"]
    assert len(layers) > 1 and all(n in plan.int8 for n in layers)


FLOAT_RESULTS: dict[str, tuple[Body, list[str]]] = {
    "logits": (lambda net, x: net.last(net.first(x)), ["last"]),
    "read_by_a_norm": (lambda net, x: net.last(net.norm(net.first(x))), ["first", "last"]),
    "by_way_of_moves": (
        lambda net, x: net.last(net.norm(net.first(x).transpose(1, 2).transpose(1, 2))),
        ["first", "last"],
    ),
    "added_to_a_stream": (lambda net, x: net.last(net.norm(x + net.first(x))), ["first", "last"]),
    "a_table_in_float": (lambda net, x: net.last(net.norm(F.hardswish(net.first(x)))), ["first", "last"]),
    "a_table_in_int8": (lambda net, x: net.last(F.hardswish(net.first(x))), ["last"]),
    "an_activation_that_is_absorbed": (lambda net, x: net.last(net.first(x).relu()), ["last"]),
    "an_activation_at_the_end": (lambda net, x: net.first(x).relu(), ["first"]),
    "an_output_that_moves": (lambda net, x: net.last(x).flatten(1), ["last"]),
    "by_a_layer_as_well": (lambda net, x: net.last(_logits_and_layer(net, net.first(x))), ["last_1"]),
    "an_output_as_well": (lambda net, x: (net.norm(y := net.first(x)), y), ["first"]),
}
"""Readers of a linear layer, and the linear layers that give floats."""


def _logits_and_layer(net: Any, y: Tensor) -> Tensor:
    found: Tensor = net.norm(y) + net.last(y).relu()
    return found


@pytest.mark.parametrize("case", FLOAT_RESULTS)
def test_linear_layers_that_only_float_operators_or_the_caller_read_give_floats(case: str) -> None:
    body, expected = FLOAT_RESULTS[case]
    net = tiny(
        case,
        lambda: OneInput(body, first=nn.Linear(6, 6), last=nn.Linear(6, 6), norm=nn.LayerNorm(6)),
        (2, 4, 6),
    )
    gm = capture_net(net)
    plan = plan_quantization(gm, QuantConfig())
    assert sorted(n.name for n in plan.float_results) == expected
    assert plan.float_results <= plan.int8.keys() and not plan.float_results & plan.root.keys()


@pytest.mark.parametrize(
    "config",
    [QuantConfig(float_results=False), QuantConfig(exact=True), QuantConfig(activation_bits=16)],
)
def test_where_integers_are_asked_for_no_layer_gives_floats(config: QuantConfig) -> None:
    gm = fused("linear_relu_linear")
    assert len(plan_quantization(gm, QuantConfig()).float_results) == 1
    assert not plan_quantization(gm, config).float_results


def test_a_convolution_gives_bytes() -> None:
    _, plan = plan_of("conv_bn_relu")
    assert plan.int8 and not plan.float_results


@pytest.mark.parametrize("config", [QuantConfig(float_results=False), QuantConfig(exact=True)])
def test_where_integers_are_asked_for_the_caller_reads_integers(config: QuantConfig) -> None:
    gm = fused("residual_block")
    last = {n for n in gm.graph.nodes if operator_name(gm, n) == "add"}
    assert last & plan_quantization(gm, QuantConfig()).why_float.keys()
    assert last <= plan_quantization(gm, config).int8.keys()


def test_a_reader_on_trial_in_float_changes_nothing_else() -> None:
    gm = fused("residual_block")
    layers = [n for n in gm.graph.nodes if n.op == "call_module"]
    kept = plan_quantization(gm, QuantConfig(overrides=tuple(Override(n.name, keep_float=True) for n in layers)))
    assert set(plan_quantization(gm, QuantConfig()).int8) - set(kept.int8) == set(layers)
