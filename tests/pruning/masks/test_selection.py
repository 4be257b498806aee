"""Selection of weights: exact counts, both scopes, patterns, and refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.pruning import CRITERIA, ScoringData, magnitude_masks, make_masks, prunable_layers
from fxpasses.pruning.masks.criteria import CHANNELS_ONLY
from fxpasses.pruning.masks.selection import select

NET = PRUNING_NETS["chain"]
GRAPH = fx.capture(NET.build(), NET.example_inputs())
DATA = ScoringData([(NET.example_inputs()[0], torch.tensor([0, 2]))])


def test_the_smallest_go() -> None:
    masks = magnitude_masks(GRAPH, 0.25)
    for path, layer in prunable_layers(GRAPH).items():
        weight = layer.weight.detach().abs()
        assert int((~masks[path]).sum()) == int(0.25 * weight.numel())
        assert weight[~masks[path]].max() <= weight[masks[path]].min()


@settings(max_examples=25)
@given(st.lists(st.integers(2, 12), min_size=1, max_size=4), st.floats(0, 0.999), st.integers(0, 9))
def test_counts(sizes: list[int], ratio: float, seed: int) -> None:
    """In each layer: the share, rounded down. Over all: the share, as long as each layer keeps its best."""
    generator = torch.Generator().manual_seed(seed)
    scores = {str(i): torch.rand(size, generator=generator) for i, size in enumerate(sizes)}
    for kept in select(scores, dict.fromkeys(scores, ratio), "layer").values():
        assert int((~kept).sum()) == int(ratio * kept.numel() + 1e-9)
    everywhere = select(scores, dict.fromkeys(scores, ratio), "global")
    pruned = sum(int((~kept).sum()) for kept in everywhere.values())
    assert pruned == min(int(ratio * sum(sizes) + 1e-9), sum(sizes) - len(sizes))
    assert all(bool(everywhere[path][scores[path].argmax()]) for path in scores)


def test_a_ratio_for_each_layer() -> None:
    masks = make_masks(GRAPH, {"0": 0.5, "3": 0.1})
    assert {path: int((~mask).sum()) for path, mask in masks.items()} == {"0": 180, "3": 72}


def test_global_compares_across_layers() -> None:
    masks = make_masks(GRAPH, 0.5, scope="global")
    weights = {path: layer.weight.detach().abs() for path, layer in prunable_layers(GRAPH).items()}
    largest_pruned = max(float(weights[p][~m].max()) for p, m in masks.items() if not m.all())
    assert largest_pruned <= min(float(weights[p][m].min()) for p, m in masks.items())


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_every_criterion(criterion: str, granularity: str) -> None:
    if granularity == "weight" and criterion in CHANNELS_ONLY:
        with pytest.raises(fx.InputError, match="scores output channels only"):
            make_masks(GRAPH, 0.5, criterion=criterion, data=DATA)
        return
    masks = make_masks(GRAPH, 0.5, criterion=criterion, granularity=granularity, data=DATA)
    again = make_masks(GRAPH, 0.5, criterion=criterion, granularity=granularity, data=DATA)
    assert masks and all(torch.equal(masks[p], again[p]) for p in masks)
    assert masks["0"].shape == ((8,) if granularity == "channel" else (8, 5, 3, 3))
    assert int((~masks["0"]).sum()) == masks["0"].numel() // 2


def test_patterns() -> None:
    assert {p: m.shape for p, m in make_masks(GRAPH, granularity="2:4", layers="0").items()} == {"0": (8, 5, 3, 3)}
    blocks = make_masks(GRAPH, 0.5, granularity="block:4x1", layers="3")["3"].flatten(1)
    assert bool((blocks[:4] == blocks[:1]).all()) and 0.4 < float((~blocks).double().mean()) < 0.6


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"ratio": 1.0}, "ratio 1.0[\\s\\S]*1 would leave nothing"),
        ({"ratio": -0.1}, "ratio -0.1[\\s\\S]*at least 0"),
        ({"ratio": 30.0}, "did you mean 0.3"),
        ({"ratio": {"0": 2.0}}, "ratio of '0'"),
        ({"ratio": {"33": 0.5}}, "layer '33'[\\s\\S]*did you mean '3'"),
        ({}, "no ratio"),
        ({"ratio": 0.5, "criterion": "tailor"}, "criterion 'tailor'[\\s\\S]*did you mean 'taylor'"),
        ({"ratio": 0.5, "criterion": "taylor"}, "criterion 'taylor' without data"),
        ({"ratio": 0.5, "granularity": "filter"}, "granularity 'filter'"),
        ({"ratio": 0.5, "granularity": "2:4"}, "ratio 0.5 with 2:4|the pattern prunes 0.5"),
        ({"ratio": 0.5, "scope": "model"}, "scope 'model'"),
        ({"ratio": {"0": 0.5}, "scope": "global"}, "a ratio for each layer"),
        ({"ratio": 0.5, "layers": ["conv3*"]}, "layer 'conv3\\*'"),
    ],
)
def test_what_cannot_be_meant(asked: dict[str, object], error: str) -> None:
    if asked.get("granularity") == "2:4":
        asked = {**asked, "ratio": 0.4}
    with pytest.raises(fx.InputError, match=error):
        make_masks(GRAPH, **asked)  # type: ignore[arg-type]
