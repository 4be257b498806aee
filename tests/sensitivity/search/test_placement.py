"""Operators stay float if this is faster in a runtime, which is a table of times here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from placement_cases import CONFIG, observed_with
from torch import fx

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.quantization.config import Override
from fxpasses.quantization.numbers import ops
from fxpasses.sensitivity.search.placement import CLEARLY, Tried, candidates, place


@pytest.fixture(scope="module")
def observed() -> fx.GraphModule:
    return observed_with(CONFIG)


def int8_tensors(gm: fx.GraphModule) -> int:
    return sum(node.target is ops.quantize for node in gm.graph.nodes)


def test_candidates_compute_and_have_no_weights(observed: fx.GraphModule) -> None:
    found = candidates(observed, CONFIG)
    assert {name: len(units) for name, units in found.items()} == {"add": 2, "sigmoid": 1, "mul": 1}


def test_what_is_faster_in_float_stays_there(observed: fx.GraphModule) -> None:
    times = iter([1.5, 0.7, CLEARLY])
    seen: list[tuple[int, int]] = []
    told: list[tuple[str, int, int]] = []

    def faster(before: fx.GraphModule, other: fx.GraphModule) -> float:
        seen.append((int8_tensors(before), int8_tensors(other)))
        return next(times)

    found = place(observed, CONFIG, faster, lambda *what: told.append(what))
    assert found.tried == (Tried("add", 2, 1.5, True), Tried("sigmoid", 1, 0.7, False), Tried("mul", 1, CLEARLY, True))
    kept = ("operator:add", "node:relu_1", "operator:mul")
    assert found.config.overrides == tuple(Override(match, keep_float=True) for match in kept)
    assert seen[0][1] < seen[0][0], "fewer tensors are integers"
    assert seen[1][0] == seen[2][0] == seen[0][1], "the next is compared with the fastest so far"
    assert told == [("add in float", 0, 3), ("sigmoid in float", 1, 3), ("mul in float", 2, 3)]
    assert found.to_json()[0] == {"operator": "add", "nodes": 2, "speedup": 1.5, "in_float": True}


def test_overrides_stay_and_are_no_candidates() -> None:
    config = replace(CONFIG, overrides=(Override("add", keep_float=True),))
    found = place(observed_with(config), config, lambda before, other: 1.0)
    assert "add" not in [t.operator for t in found.tried] and found.config == config


def test_convert_says_what_new_settings_leave_in_float(observed: fx.GraphModule) -> None:
    both = tuple(Override(m, keep_float=True) for m in ("operator:add", "node:relu_1"))
    result = pass_logs(fxpasses.convert(observed, replace(CONFIG, overrides=both)))[-1].result
    in_float = {s.node for s in result.skipped if s.stays_float}
    assert in_float == {"add_2", "add_3", "relu_1", "flatten_1"}
    assert not pass_logs(fxpasses.convert(observed))[-1].result.skipped
    with pytest.raises(GraphError, match=r"it has no observer(.|\n)*fx\.observe"):
        fxpasses.convert(observed, replace(CONFIG, overrides=both[:1]))
