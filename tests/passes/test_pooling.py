"""Pools are rewritten to the form that engines support."""

from __future__ import annotations

import pytest
from odd_nets import ODD
from tiny_graphs import capture_net, captured, changed_nodes, operators_of, skip_reasons
from tiny_nets.all_nets import TINY
from torch import fx

from fxpasses.graph.pass_runner import Pass, run_passes
from fxpasses.graph.shapes import shape_of
from fxpasses.passes.pooling import adaptive_to_plain_pool, mean_to_pool


def run(net: str, graph_pass: Pass) -> fx.GraphModule:
    gm = captured(net) if net in TINY else capture_net(ODD[net])
    return run_passes(gm, [graph_pass])


def test_a_mean_is_a_pool_and_a_flatten() -> None:
    gm = run("mean", mean_to_pool)
    assert operators_of(gm) == ["conv2d", "adaptive_avg_pool2d", "flatten", "linear"]
    assert [shape_of(n) for n in gm.graph.nodes][2:4] == [(2, 8, 1, 1), (2, 8)]


def test_a_mean_that_keeps_its_dimensions_is_a_pool_alone() -> None:
    gm = run("mean_keepdim", mean_to_pool)
    assert operators_of(gm)[:2] == ["conv2d", "adaptive_avg_pool2d"]
    assert "flatten" not in operators_of(gm)


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("squeeze_unsqueeze", "it averages over 3, a 2d pool over height and width"),
        ("mean_of_channels", "it averages over 1, a 2d pool over height and width"),
        ("mean_of_channels", "it averages over None, a 2d pool over height and width"),
        ("mean_of_sequence", "its input has 3 dimensions, a 2d pool needs 4"),
    ],
)
def test_means_that_are_no_pools(net: str, why: str) -> None:
    gm = run(net, mean_to_pool)
    assert changed_nodes(gm, "mean_to_pool") == []
    reasons = [reason.replace("[3]", "3").replace("[1]", "1") for reason in skip_reasons(gm, "mean_to_pool").values()]
    assert why in [r.replace("(3,)", "3").replace("(1,)", "1") for r in reasons]


def test_an_adaptive_pool_whose_windows_are_equal_is_plain() -> None:
    gm = run("pool_to_divisor", adaptive_to_plain_pool)
    assert operators_of(gm) == ["conv2d", "pad", "avg_pool2d"]
    (pool,) = [n for n in gm.graph.nodes if n.name.startswith("avg_pool2d")]
    assert (pool.kwargs["kernel_size"], shape_of(pool)) == ((1, 2), (2, 8, 7, 3))


def test_windows_of_different_sizes() -> None:
    gm = run("adaptive_pool_to_2x3", adaptive_to_plain_pool)
    assert changed_nodes(gm, "adaptive_to_plain_pool") == []
    assert list(skip_reasons(gm, "adaptive_to_plain_pool").values()) == [
        "output size (2, 3) does not divide input size (7, 5)"
    ]


def test_a_global_pool_is_left_as_engines_know_it() -> None:
    gm = run("adaptive_pool_to_1", adaptive_to_plain_pool)
    assert "adaptive_avg_pool2d" in operators_of(gm)
    assert skip_reasons(gm, "adaptive_to_plain_pool") == {}
