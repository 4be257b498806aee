"""Calls without effect are dropped, and clips are merged."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_nets import ODD
from tiny_graphs import capture_net, captured, changed_nodes, node_named, operators_of, own_copy, skip_reasons
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from torch import fx, nn

from fxpasses.graph.edit import clip_bounds
from fxpasses.graph.pass_runner import Pass, run_passes
from fxpasses.passes.identities import drop_identities, merge_clips


def run(net: str, graph_pass: Pass) -> fx.GraphModule:
    gm = captured(net) if net in TINY else capture_net(ODD[net])
    return run_passes(gm, [graph_pass])


@pytest.mark.parametrize(
    ("net", "dropped"),
    [
        ("dropout_identity", 3),
        ("dropout_functional", 1),
        ("dropout_by_keyword", 1),
        ("stochastic_depth", 1),
        ("channel_shuffle", 1),
        ("pool_to_own_size", 1),
    ],
)
def test_drops(net: str, dropped: int) -> None:
    gm = run(net, drop_identities)
    assert len(changed_nodes(gm, "drop_identities")) == dropped
    assert "identity" not in operators_of(gm)


def test_keeps_a_dropout_that_is_told_to_drop() -> None:
    gm = run("dropout_always", drop_identities)
    assert skip_reasons(gm, "drop_identities") == {
        "dropout": "it is told to drop values at inference too (training is not False)"
    }


def test_keeps_a_dropout_in_training_mode() -> None:
    gm = own_copy(captured("dropout_identity"))
    gm.get_submodule("drop").train()
    gm = run_passes(gm, [drop_identities])
    assert skip_reasons(gm, "drop_identities") == {"drop": "it is in training mode"}


def test_keeps_an_identity_with_a_hook() -> None:
    gm = own_copy(captured("dropout_identity"))
    gm.get_submodule("identity").register_forward_hook(lambda module, inputs, output: output * 2)
    gm = run_passes(gm, [drop_identities])
    assert skip_reasons(gm, "drop_identities") == {"identity": "a forward hook sees its input or changes its output"}


def test_a_pool_to_another_size_is_no_identity() -> None:
    assert changed_nodes(run("adaptive_pool_to_1", drop_identities), "drop_identities") == []


def test_a_graph_of_nothing_but_identities_gives_its_input() -> None:
    gm = run_passes(capture_net(tiny("nothing", lambda: nn.Sequential(nn.Identity(), nn.Dropout()))), [drop_identities])
    assert [n.op for n in gm.graph.nodes] == ["placeholder", "output"]


BOUNDS = st.tuples(
    st.sampled_from([-math.inf, -2.0, -0.5, 0.0, 0.25, 1.0, 6.0]), st.sampled_from([-1.0, 0.0, 0.5, 1.5, 6.0, math.inf])
).filter(lambda b: b[0] <= b[1] and (math.isfinite(b[0]) or math.isfinite(b[1])))


@settings(max_examples=40)
@given(st.lists(BOUNDS, min_size=2, max_size=4))
def test_merged_clips_give_the_same_numbers(bounds: list[tuple[float, float]]) -> None:
    """Any clips in a row become one, exactly: every value is one of the input's, or a bound."""

    def body(net: object, x: torch.Tensor) -> torch.Tensor:
        for low, high in bounds:
            x = torch.clamp(x, None if low == -math.inf else low, None if high == math.inf else high)
        return x

    source = capture_net(tiny("clips", lambda: OneInput(body)))
    merged = run_passes(source, [merge_clips])
    assert len([n for n in merged.graph.nodes if n.op.startswith("call_")]) == 1
    x = torch.cat([torch.linspace(-8, 8, 97), torch.tensor([math.inf, -math.inf, math.nan])])
    assert torch.equal(source(x).nan_to_num(99), merged(x).nan_to_num(99))


def test_three_in_a_row_keep_the_last_ones_name() -> None:
    gm = run("relu_twice", merge_clips)
    assert changed_nodes(gm, "merge_clips") == ["relu", "relu_1"]
    assert operators_of(gm) == ["conv2d", "clip"]
    last = gm.graph.output_node().all_input_nodes[0]
    assert (last.name, clip_bounds(gm, last)) == ("clamp", (0.0, 6.0))


def test_two_relus_stay_a_relu() -> None:
    net = tiny("two_relus", lambda: nn.Sequential(conv(), nn.ReLU(), nn.ReLU()))
    assert operators_of(run_passes(capture_net(net), [merge_clips])) == ["conv2d", "relu"]


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("clip_read_twice", "clamp is not the only one that reads it"),
        ("clip_bounds_crossed", "the bounds of clamp are not two numbers in order"),
        ("clip_of_integers", "its values are integers"),
    ],
)
def test_reasons_not_to_merge(net: str, why: str) -> None:
    gm = run(net, merge_clips)
    assert changed_nodes(gm, "merge_clips") == []
    (reason,) = skip_reasons(gm, "merge_clips").values()
    assert reason.replace("clamp_1", "clamp").replace("clamp_2", "clamp") == why


def test_bounds_of_every_spelling() -> None:
    gm = captured("relu6_spellings")
    bounds = [clip_bounds(gm, n) for n in gm.graph.nodes]
    assert [b for b in bounds if b is not None] == [(0.0, 6.0)] * 7


def test_bounds_of_anything_else() -> None:
    gm = captured("conv_bn_relu")
    assert clip_bounds(gm, node_named(gm, "relu")) == (0.0, math.inf)
    assert clip_bounds(gm, node_named(gm, "_0")) is None
