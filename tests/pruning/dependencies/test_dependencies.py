"""Channels that must be removed together, channels that must stay, and the reasons."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pruning_nets import PRUNING_NETS
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput
from torch import nn
from torch.nn.utils import prune

import fxpasses as fx
from fxpasses.pruning import Dependencies, find_dependencies


def dependencies_of(name: str, **settings: bool) -> Dependencies:
    net = PRUNING_NETS[name]
    return find_dependencies(fx.capture(net.build(), net.example_inputs()), **settings)


def groups_of(found: Dependencies) -> dict[tuple[str, ...], tuple[int, int]]:
    """Layers -> (number of classes, output channels of the first layer in one class)."""
    return {group.layers: (len(group.classes), group.multiplicity) for group in found.groups}


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("chain", {("0",): (8, 1), ("3",): (10, 1)}),
        ("residual", {("stem", "two"): (8, 1), ("one",): (6, 1)}),
        ("dense_cat", {("one",): (8, 1), ("two",): (6, 1), ("three",): (4, 1)}),
        ("depthwise", {("0", "2"): (8, 1), ("4",): (6, 1)}),
        ("grouped_wide", {("0",): (6, 2), ("2",): (9, 2)}),  # 2 groups: the same channels of each
        ("grouped_many", {("0", "2"): (6, 2)}),  # 6 groups of 2: whole groups
        ("flatten", {("0",): (8, 1), ("4",): (9, 1)}),
        ("squeeze_excite", {("0.conv", "0.excite"): (8, 1), ("0.squeeze",): (3, 1)}),
        ("group_norm", {("0",): (4, 3)}),
        ("pixel_shuffle", {("0",): (6, 4), ("2",): (4, 1)}),
        ("shared", {("stem", "twice"): (8, 1)}),
        ("channel_shuffle_layer", {("0",): (4, 3), ("2",): (6, 1)}),
        ("fused_attention", {("qkv",): (6, 6)}),  # one of 6 in 2 heads of query, key and value each
        ("scaled_by_width", {("q", "k"): (12, 1), ("v",): (10, 1)}),
    ],
)
def test_groups(name: str, groups: dict[tuple[str, ...], tuple[int, int]]) -> None:
    assert groups_of(dependencies_of(name)) == groups


def test_padded_channels_are_tied_to_those_they_are_added_to() -> None:
    groups = groups_of(dependencies_of("padded_shortcut"))
    assert groups == {("stem", "wide"): (8, 1), ("wide",): (2, 1)} or groups[("stem", "wide")] == (8, 1)


def test_halves_that_are_read_apart_are_groups_apart() -> None:
    """Removing all of one half would leave a tensor without channels."""
    groups = groups_of(dependencies_of("cut"))
    assert groups == {("stem",): (7, 1), ("stem", "left"): (5, 1)}


def test_a_layer_norm_keeps_its_channels_unless_told_otherwise() -> None:
    frozen = dependencies_of("channels_last").frozen
    assert str(frozen["depthwise"]) == "norm (LayerNorm) normalises over all channels"
    through = dependencies_of("channels_last", through_layer_norm=True)
    assert "depthwise" not in through.frozen
    assert groups_of(through)[("stem", "depthwise", "down")] == (8, 1)


class _Reads(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.one, self.two, self.function = conv(5, 8), conv(8, 3), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.two(self.function(self.one(x)))  # type: ignore[operator]
        return y


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: torch.softmax(x, 1), "softmax_1 (softmax) normalises over them"),
        (lambda x: x * x.mean(1, keepdim=True), "mean_1 (mean) averages over them"),
        (lambda x: torch.cumsum(x, 1), "no rule says how it treats them"),
        (lambda x: x.roll(1, 1), "roll_1 (roll) moves them along"),
        (lambda x: F.pad(x, (0, 0, 0, 0, -1, 1)), "(pad) copies or cuts channels"),
        (lambda x: x[:, ::2].repeat(1, 2, 1, 1), "(slice) steps over channels"),
        (lambda x: x[:, :1] * x, None),
        (lambda x: x.transpose(1, 2).contiguous().transpose(1, 2), None),
        (lambda x: x.flip(1), "(flip) may need every channel"),
        (lambda x: torch.cat((x[:, :4], torch.zeros(2, 4, 7, 5)), 1), None),
    ],
)
def test_what_keeps_channels(function: object, why: str | None) -> None:
    frozen = find_dependencies(fx.capture(_Reads(function).eval(), torch.randn(2, 5, 9, 7))).frozen
    if why is None:
        assert "one" not in frozen
    else:
        assert why in str(frozen["one"])


def test_outputs_stay() -> None:
    assert str(dependencies_of("chain").frozen["5.2"]) == "output is the output of the model"


def test_a_single_channel() -> None:
    net = OneInput(lambda net, x: net.two(net.one(x)), one=conv(5, 1), two=conv(1, 3))
    frozen = find_dependencies(fx.capture(net.eval(), torch.randn(2, 5, 9, 7))).frozen
    assert "no two output channels" in str(frozen["one"])


def test_weights_that_a_hook_computes() -> None:
    net = nn.Sequential(conv(5, 8), conv(8, 6), conv(6, 3))
    graph = fx.capture(net.eval(), torch.randn(2, 5, 9, 7))
    prune.l1_unstructured(graph.get_submodule("1"), "weight", 0.5)
    found = find_dependencies(graph)
    assert found.groups == () and "computed at every call" in str(found.frozen["0"])


def test_not_captured() -> None:
    with pytest.raises(fx.GraphError, match="find_dependencies got a Linear that was not captured"):
        find_dependencies(nn.Linear(2, 2))  # type: ignore[arg-type]
