"""Masks of whole channels become smaller graphs."""

from __future__ import annotations

import pytest
import torch
from pruning_nets import PRUNING_NETS
from torch import nn
from torch.nn.utils import prune

import fxpasses as fx
from fxpasses.pruning import find_dependencies, make_masks, masks_of_torch_prune, removal_of_masks, shrink
from fxpasses.pruning.dependencies.groups import Dependencies


def dependencies_of(name: str) -> Dependencies:
    net = PRUNING_NETS[name]
    return find_dependencies(fx.capture(net.build(), net.example_inputs()))


def channels_without(size: int, *gone: int) -> torch.Tensor:
    mask = torch.ones(size, dtype=torch.bool)
    mask[list(gone)] = False
    return mask


def kept(dependencies: Dependencies, masks: dict[str, torch.Tensor]) -> dict[str, int]:
    return {path: int(flags.sum()) for path, flags in removal_of_masks(dependencies, masks).channels().items()}


def test_channels_that_one_layer_makes() -> None:
    assert kept(dependencies_of("residual"), {"one": channels_without(6, 1, 4)}) == {"one": 4}


def test_joined_channels_go_only_when_all_layers_mask_them() -> None:
    dependencies = dependencies_of("residual")
    masks = {"stem": channels_without(8, 1, 2, 3), "two": channels_without(8, 2, 3, 4)}
    assert kept(dependencies, {"stem": masks["stem"]}) == {}
    assert kept(dependencies, masks) == {"stem": 6, "two": 6}


def test_masks_of_weights_count_where_they_leave_nothing() -> None:
    dependencies = dependencies_of("transposed")
    mask = torch.ones(8, 12, 2, 2, dtype=torch.bool)
    mask[:, 3] = False
    mask[:7, 4] = False
    assert kept(dependencies, {"1": mask}) == {}, "the next layer has two groups: the same of each, or none"
    mask[:, 9] = False
    assert kept(dependencies, {"1": mask}) == {"1": 10}


def test_what_must_stay_stays() -> None:
    dependencies = dependencies_of("chain")
    assert kept(dependencies, dict(make_masks(dependencies.gm, 0.5, granularity="channel", layers="linear"))) == {}


def test_nothing_left() -> None:
    halves = {"stem": channels_without(12, 0, 1, 2, 3, 4, 5, 6)}
    with pytest.raises(fx.InputError, match=r"masks of stem[\s\S]*prune all channels that go together"):
        removal_of_masks(dependencies_of("cut"), halves)


def test_from_torch_prune_to_a_smaller_model() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    prune.ln_structured(model[0], "weight", 0.5, n=1, dim=0)
    masks = masks_of_torch_prune(model)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    graph = fx.capture(plain, torch.randn(2, 6))
    small = shrink(removal_of_masks(find_dependencies(graph), masks))
    assert small.get_parameter("0.weight").shape == (4, 6) and small.get_parameter("2.weight").shape == (3, 4)
