"""Scores from data compared with finite differences, and bad data."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.pruning import ScoringData, apply_masks, channel_scores, make_masks

NET = PRUNING_NETS["residual"]
GRAPH = fx.fuse(fx.capture(NET.build(), NET.example_inputs()))
LABELS = torch.tensor([0, 2])
DATA = ScoringData([(NET.example_inputs()[0], LABELS)])


def test_taylor_is_the_first_order_change_of_the_loss() -> None:
    """Scaling a channel down by a little changes the loss by that share of the root of its score."""
    scores = channel_scores(GRAPH, "taylor", data=DATA)["one"]
    movement = channel_scores(GRAPH, "movement", data=DATA)["one"]
    torch.testing.assert_close(movement.square(), scores)
    step = 1e-3
    for channel in range(len(scores)):
        losses = []
        for factor in (1 - step, 1 + step):
            twin = fx.fuse(fx.capture(NET.build(), NET.example_inputs())).double()
            with torch.no_grad():
                twin.get_parameter("one.weight")[channel] *= factor
                twin.get_parameter("one.bias")[channel] *= factor
                losses.append(float(F.cross_entropy(twin(*(x.double() for x in NET.example_inputs())), LABELS)))
        change = (losses[0] - losses[1]) / (2 * step)
        assert float(movement[channel]) == pytest.approx(change, rel=0.02, abs=1e-4)


def test_activation_is_the_mean_behind_the_activation() -> None:
    scores = channel_scores(GRAPH, "activation", data=DATA)
    with torch.no_grad():
        x = GRAPH.get_submodule("stem")(*NET.example_inputs())
        expected = F.relu(GRAPH.get_submodule("one")(x)).abs().mean((0, 2, 3))
    torch.testing.assert_close(scores["one"], expected)
    assert scores["head.2"].shape == (3,)


def test_the_graph_is_not_changed() -> None:
    before = {name: (p.clone(), p.requires_grad, p.grad) for name, p in GRAPH.named_parameters()}
    make_masks(GRAPH, 0.5, criterion="taylor", data=DATA)
    for name, p in GRAPH.named_parameters():
        assert torch.equal(p, before[name][0]) and p.requires_grad == before[name][1] and p.grad is before[name][2]


def test_works_where_gradients_are_off() -> None:
    with torch.no_grad():
        assert channel_scores(GRAPH, "taylor", data=DATA)["one"].shape == (6,)


@pytest.mark.parametrize("criterion", ["taylor", "activation"])
def test_no_batch(criterion: str) -> None:
    with pytest.raises(fx.InputError, match="the data has not one batch"):
        channel_scores(GRAPH, criterion, data=ScoringData([]))


def test_not_finite() -> None:
    broken = [(torch.full_like(NET.example_inputs()[0], torch.nan), LABELS)]
    with pytest.raises(fx.InputError, match="a score is not finite"):
        channel_scores(GRAPH, "taylor", data=ScoringData(broken))


def test_masks_from_data_apply() -> None:
    masks = make_masks(GRAPH, 0.3, criterion="taylor", granularity="channel", data=DATA)
    assert apply_masks(GRAPH, masks)(*NET.example_inputs()).shape == (2, 3)
