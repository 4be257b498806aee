"""Weights left are adjusted to replace removed channels: exactly if possible, and never worse than zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pruning_nets import PRUNING_NETS
from torch import nn

import fxpasses as fx
from fxpasses.models.training.settle import settle
from fxpasses.pruning import Removal, choose_channels, compensate, find_dependencies, mask_channels, shrink
from fxpasses.pruning.channels.brain_surgeon import surgeon_scores

TOLERANCE = 2e-3
"""Tolerance relative to the largest output: because of the ridge of 1e-4, copies are not exact."""


def with_copies() -> nn.Module:
    """Channels 4 to 7 are multiples of channels 0 to 3, plus a constant."""
    net = settle(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(6, 4)))
    with torch.no_grad():
        for channel in range(4):
            net.get_parameter("0.weight")[4 + channel] = (channel + 0.5) * net.get_parameter("0.weight")[channel]
            net.get_parameter("0.bias")[4 + channel] = 3.0
    return net


def removal_of(graph: torch.fx.GraphModule, path: str, channels: list[int]) -> Removal:
    dependencies = find_dependencies(graph)
    return Removal(dependencies, np.sort(dependencies.made[path][channels]))


def test_copies_are_replaced_without_loss() -> None:
    x = torch.randn(16, 3, 5, 5)
    graph = fx.capture(with_copies(), x)
    removal = removal_of(graph, "0", [4, 5, 6, 7])
    small = shrink(removal)
    with torch.no_grad():
        expected = graph(x)
        assert float((small(x) - expected).abs().max()) > 0.1
        assert compensate(removal, small, x.split(4)) == 1
        assert float((small(x) - expected).abs().max()) < TOLERANCE * float(expected.abs().max())


@pytest.mark.parametrize("name", ["residual", "dense_cat", "depthwise", "flatten", "attention", "squeeze_excite"])
def test_closer_to_the_dense_graph_than_zeros_are(name: str) -> None:
    """Only one layer is pruned, so that no later layer adds to the difference."""
    net = PRUNING_NETS[name]
    graph = fx.fuse(fx.capture(net.build(), net.example_inputs()))
    shape = net.example_inputs()[0].shape[1:]
    batches = [torch.randn(32, *shape, generator=torch.Generator().manual_seed(s)) for s in range(2)]
    dependencies = find_dependencies(graph)
    group = next(g for g in dependencies.groups if len(g.classes) > 3)
    removal = Removal(dependencies, group.classes[:2])
    small = shrink(removal)
    with torch.no_grad():
        expected = graph(batches[0])
        zeros = float((mask_channels(removal)(batches[0]) - expected).square().mean())
        assert compensate(removal, small, batches) > 0
        assert float((small(batches[0]) - expected).square().mean()) < zeros


def test_the_surgeon_finds_copies() -> None:
    x = torch.randn(16, 3, 5, 5)
    graph = fx.capture(with_copies(), x)
    with torch.no_grad():
        weight = graph.get_parameter("0.weight")
        weight[3] = weight[3].flip(0)  # now neither it nor what was its copy can be made of others
    dependencies = find_dependencies(graph)
    scores = surgeon_scores(dependencies, x.split(4))
    assert set(scores) == {"0", "1", "3"}
    removal = choose_channels(dependencies, 0.3, scores, layers="0")
    assert {3, 7} <= set(np.flatnonzero(removal.channels()["0"]).tolist())
    assert float(scores["0"][[3, 7]].min()) > 10 * float(scores["0"][[0, 1, 2, 4, 5, 6]].max())


def test_the_surgeons_score_is_what_compensation_leaves() -> None:
    x = torch.randn(64, 3, 6, 6)
    graph = fx.capture(settle(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 1))), x)
    dependencies = find_dependencies(graph)
    scores = surgeon_scores(dependencies, x.split(16))["0"]
    with torch.no_grad():
        expected = graph(x)
    energy = expected.movedim(1, -1).flatten(0, -2).var(0, correction=0).sum()
    for channel in range(8):
        removal = removal_of(graph, "0", [channel])
        small = shrink(removal)
        compensate(removal, small, x.split(16))
        left = (small(x).detach() - expected).square().movedim(1, -1).flatten(0, -2).mean(0).sum() / energy
        assert float(left) == pytest.approx(float(scores[channel]), rel=0.02, abs=1e-5)


def test_no_batch() -> None:
    graph = fx.capture(with_copies(), torch.randn(2, 3, 5, 5))
    with pytest.raises(fx.InputError, match="not one batch"):
        surgeon_scores(find_dependencies(graph), [])
    removal = removal_of(graph, "0", [1])
    with pytest.raises(fx.InputError, match="not one batch"):
        compensate(removal, shrink(removal), [])
