"""Scores of channels: with gradients, BatchNorm counts."""

from __future__ import annotations

import pytest
import torch
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.pruning import CRITERIA, ScoringData, channel_scores

NET = PRUNING_NETS["chain"]
GRAPH = fx.capture(NET.build(), NET.example_inputs())
DATA = ScoringData([(NET.example_inputs()[0], torch.tensor([0, 2]))])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_one_score_for_each_channel(criterion: str) -> None:
    scores = channel_scores(GRAPH, criterion, data=DATA)
    assert scores["0"].shape == (8,)
    assert bool(scores["0"].isfinite().all())


def test_gradients_see_the_shift_of_the_batch_norm() -> None:
    torch.testing.assert_close(
        channel_scores(GRAPH, "taylor", data=DATA)["0"], channel_scores(fx.fuse(GRAPH), "taylor", data=DATA)["0"]
    )


def test_bad_criteria() -> None:
    with pytest.raises(fx.InputError, match="criterion 'l0'"):
        channel_scores(GRAPH, "l0")
    with pytest.raises(fx.InputError, match="criterion 'activation' without data"):
        channel_scores(GRAPH, "activation")
