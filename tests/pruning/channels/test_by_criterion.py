"""Scores and choices of channels for any criterion: only the data that a criterion needs is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.pruning import Budget, ScoringData, choose_channels, choose_within, find_dependencies
from fxpasses.pruning.channels.by_criterion import ChannelChoice, criterion_scores

NET = PRUNING_NETS["chain"]
DEPENDENCIES = find_dependencies(fx.capture(NET.build(), NET.example_inputs()))


def scores(criterion: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The scores, and which data was asked for."""
    asked: list[str] = []

    def samples() -> Iterable[Any]:
        asked.append("samples")
        return [NET.example_inputs()]

    def data() -> ScoringData:
        asked.append("data")
        return ScoringData([(NET.example_inputs()[0], torch.tensor([0, 2]))])

    return criterion_scores(DEPENDENCIES, criterion, samples, data), asked


@pytest.mark.parametrize(
    ("criterion", "asked"), [("l1", []), ("taylor", ["data"]), ("activation", ["data"]), ("surgeon", ["samples"])]
)
def test_data_is_asked_for_where_it_is_needed(criterion: str, asked: list[str]) -> None:
    found, seen = scores(criterion)
    assert found["0"].shape == (8,) and seen == asked


@pytest.mark.parametrize(("criterion", "comparable"), [("l1", False), ("taylor", True)])
def test_scores_of_some_criteria_are_compared_across_layers(criterion: str, comparable: bool) -> None:
    given, _ = scores(criterion)
    choice = ChannelChoice(criterion, scope="global")
    expected = choose_channels(DEPENDENCIES, 0.4, given, scope="global", round_to=2, comparable=comparable)
    assert choice.ratio(DEPENDENCIES, 0.4, given, 2).channels().keys() == expected.channels().keys()
    assert list(choice.ratio(DEPENDENCIES, 0.4, given, 2).classes) == list(expected.classes)
    fit = choose_within(DEPENDENCIES, Budget("params", 0.6), given, scope="global", comparable=comparable)
    assert choice.within(DEPENDENCIES, Budget("params", 0.6), given).share == fit.share
