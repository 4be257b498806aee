"""Values that are not finite are found, ranges first."""

from __future__ import annotations

import torch
from training_nets import prepared

from fxpasses.training import Broken, find_broken


def test_a_sound_graph() -> None:
    assert find_broken(prepared()) == []


def test_ranges_come_first() -> None:
    graph = prepared()
    with torch.no_grad():
        graph.get_parameter("first.weight")[0, 0, 0, 0] = float("inf")
        graph.get_parameter("wide.step")[1] = float("nan")
    assert find_broken(graph) == [
        Broken("wide", "its range broke: the step is NaN"),
        Broken("first", "its weight holds infinity"),
    ]
