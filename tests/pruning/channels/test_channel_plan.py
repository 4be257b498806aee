"""Number and choice of the channels to remove, and the refusals."""

from __future__ import annotations

import pytest
import torch
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.pruning import Removal, channel_scores, choose_channels, find_dependencies, make_masks
from fxpasses.pruning.dependencies.groups import Dependencies


def dependencies_of(name: str) -> Dependencies:
    net = PRUNING_NETS[name]
    return find_dependencies(fx.capture(net.build(), net.example_inputs()))


def kept(removal: Removal) -> dict[str, list[int]]:
    return {path: flags.nonzero()[0].tolist() for path, flags in removal.channels().items()}


def test_the_lowest_scores_go() -> None:
    scores = {"0": torch.tensor([5.0, 1, 7, 2, 8, 3, 9, 4]), "3": torch.arange(10.0)}
    removal = choose_channels(dependencies_of("chain"), 0.5, scores)
    assert kept(removal) == {"0": [0, 2, 4, 6], "3": [5, 6, 7, 8, 9]}


def test_scores_of_tied_layers_add_up() -> None:
    scores = {"stem": torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8]), "two": torch.tensor([9.0, 1, 1, 1, 1, 1, 1, 1])}
    removal = choose_channels(dependencies_of("residual"), 0.25, scores)
    assert kept(removal)["stem"] == kept(removal)["two"] == [0, 3, 4, 5, 6, 7]


def test_global_scope_takes_where_it_hurts_least() -> None:
    """Scores are compared in units of the group's mean, or as they are."""
    dependencies = dependencies_of("chain")
    scores = {"0": torch.full((8,), 100.0), "3": torch.tensor([1.0, *[10.0] * 9])}
    scores["0"][0] = 1.0
    assert kept(choose_channels(dependencies, 0.12, scores, scope="global")) == {
        "0": [1, 2, 3, 4, 5, 6, 7], "3": [1, 2, 3, 4, 5, 6, 7, 8, 9],
    }  # fmt: skip
    as_they_are = choose_channels(dependencies, 0.5, scores, scope="global", comparable=True)
    assert kept(as_they_are) == {"0": [1, 2, 3, 4, 5, 6, 7], "3": [8, 9]} or "0" in kept(as_they_are)


@pytest.mark.parametrize(("ratio", "left"), [(0.1, 12), (0.4, 8), (0.7, 4), (0.9, 4)])
def test_rounding(ratio: float, left: int) -> None:
    """12 channels in multiples of 4: the nearest, 4 at least."""
    dependencies = dependencies_of("grouped_many")
    removal = choose_channels(dependencies, ratio, {}, round_to=4)
    assert removal.kept_size(dependencies.labelling.made["0"], 12) == left


def test_layers() -> None:
    dependencies = dependencies_of("residual")
    assert set(choose_channels(dependencies, 0.5, {}, layers="one").channels()) == {"one"}
    with pytest.raises(fx.InputError, match=r"no channels of 'two'[\s\S]*go together with those of stem"):
        choose_channels(dependencies, 0.5, {}, layers="two")
    with pytest.raises(fx.InputError, match=r"no channels of 'head\.2'[\s\S]*is the output of the model"):
        choose_channels(dependencies, 0.5, {}, layers="head.2")
    with pytest.raises(fx.InputError, match=r"layer 'tow'[\s\S]*did you mean 'two'"):
        choose_channels(dependencies, 0.5, {}, layers="tow")


def test_joined_channels_can_stay() -> None:
    assert set(choose_channels(dependencies_of("residual"), 0.5, {}, keep_joined=True).channels()) == {"one"}
    assert set(choose_channels(dependencies_of("depthwise"), 0.5, {}, keep_joined=True).channels()) == {"0", "2", "4"}
    with pytest.raises(fx.InputError, match="let joined channels go"):
        choose_channels(dependencies_of("shared"), 0.5, {}, keep_joined=True)


def test_depthwise_layers_follow_along() -> None:
    assert set(choose_channels(dependencies_of("depthwise"), 0.5, {}, layers="0").channels()) == {"0", "2"}


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"ratio": 1.0}, "ratio 1.0"), ({"ratio": 0.5, "round_to": 0}, "round_to 0")],
)
def test_bad_settings(settings: dict[str, float], error: str) -> None:
    with pytest.raises(fx.InputError, match=error):
        choose_channels(dependencies_of("chain"), scores={}, **settings)  # type: ignore[arg-type]


def test_none_and_all_but_one() -> None:
    dependencies = dependencies_of("chain")
    scores = channel_scores(dependencies.gm)
    assert kept(choose_channels(dependencies, 0.0, scores)) == {}
    assert {len(k) for k in kept(choose_channels(dependencies, 0.99, scores)).values()} == {1}


def test_a_net_without_channels_to_remove_is_masked_instead() -> None:
    gm = fx.capture(torch.nn.Conv2d(3, 8, 3).eval(), torch.rand(1, 3, 6, 6))
    with pytest.raises(InputError, match=r"make_masks\(graph, ratio\)"):
        choose_channels(find_dependencies(gm), 0.5, channel_scores(gm, "l1"))
    assert make_masks(gm, 0.5)
