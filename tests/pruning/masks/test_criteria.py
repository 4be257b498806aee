"""Scores compared with their definitions, computed in another way."""

from __future__ import annotations

import pytest
import torch
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.pruning.masks.criteria import scores_from_weights
from fxpasses.pruning.masks.layers import prunable_layers

NET = PRUNING_NETS["transposed"]
GRAPH = fx.capture(NET.build(), NET.example_inputs())
LAYERS = prunable_layers(GRAPH)


def outgoing(path: str, channel: int) -> torch.Tensor:
    """Weights of one output channel: those for which its gradient is not zero."""
    layer = LAYERS[path]
    out = layer(torch.ones(1, layer.weight.shape[1 if path == "0" else 0], 5, 5))
    gradient = torch.autograd.grad(out[0, channel].sum(), layer.weight)[0]
    return layer.weight.detach()[gradient != 0]


@pytest.mark.parametrize("path", ["0", "1", "3"])
def test_l1_and_l2_of_channels(path: str) -> None:
    l1 = scores_from_weights(GRAPH, {path: LAYERS[path]}, "l1", "channel")[path]
    l2 = scores_from_weights(GRAPH, {path: LAYERS[path]}, "l2", "channel")[path]
    for channel in range(len(l1)):
        weights = outgoing(path, channel)
        torch.testing.assert_close(l1[channel], weights.abs().sum())
        torch.testing.assert_close(l2[channel], weights.norm())


def test_geometric_median() -> None:
    scores = scores_from_weights(GRAPH, {"0": LAYERS["0"]}, "fpgm", "channel")["0"]
    rows = LAYERS["0"].weight.detach().flatten(1)
    torch.testing.assert_close(scores, torch.stack([(rows - row).norm(dim=1).sum() for row in rows]))


def test_batch_norm_scale() -> None:
    net = PRUNING_NETS["chain"]
    graph = fx.capture(net.build(), net.example_inputs())
    scores = scores_from_weights(graph, prunable_layers(graph), "bn_scale", "channel")
    assert set(scores) == {"0"}
    torch.testing.assert_close(scores["0"], graph.get_parameter("1.weight").detach().abs())
    with pytest.raises(fx.InputError, match="no layer is followed by a BatchNorm"):
        scores_from_weights(fx.fuse(graph), prunable_layers(fx.fuse(graph)), "bn_scale", "channel")


def test_random_is_seeded() -> None:
    a, b, c = (scores_from_weights(GRAPH, LAYERS, "random", "channel", seed)["0"] for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)
