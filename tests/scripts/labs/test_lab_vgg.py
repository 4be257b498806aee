"""Lab 1's VGG: the published counts, and masks and channels chosen as its course does."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.fx import GraphModule
from vgg.channels import channel_masks, kept_channels, read_strengths, without_channels
from vgg.pooled import PooledVgg, narrowed
from vgg.pruning import chosen_sparsities, fine_grained_masks, zeros_of

import fxpasses as fx
from fxpasses.macs import count_graph_macs
from fxpasses.measure.model_size import count_parameters
from fxpasses.pruning import Masks, apply_masks

IMAGE = torch.zeros(1, 3, 32, 32)


@pytest.fixture(scope="module")
def narrow() -> GraphModule:
    torch.manual_seed(0)
    return fx.capture(narrowed(16).eval(), (IMAGE,))


def test_parameters_and_products_are_the_published_ones() -> None:
    """9.23 million and 606 million; without 30 % of the channels 5.01 million and 305 million."""
    dense = fx.capture(PooledVgg().eval(), (IMAGE,))
    assert (count_parameters(dense).params, count_graph_macs(dense)) == (9_228_362, 605_754_368)
    pruned = without_channels(dense, channel_masks(dense))
    assert round(count_parameters(pruned).params / 1e6, 2) == 5.01
    assert round(count_graph_macs(pruned) / 1e6) == 305


def test_a_5x5_tensor_keeps_its_six_largest() -> None:
    layer = nn.Linear(5, 5, bias=False)
    graph = fx.capture(nn.Sequential(layer).eval(), (torch.zeros(1, 5),))
    assert zeros_of(25, 0.75) == 19
    mask = fine_grained_masks(graph, {"0": 0.75})["0"]
    kept = layer.weight.detach().abs()[mask]
    assert len(kept) == 6 and kept.min() >= layer.weight.detach().abs()[~mask].max()


def test_channels_that_stay() -> None:
    assert [kept_channels(count) for count in (64, 128, 256, 512)] == [45, 90, 179, 358]


def test_the_last_convolution_is_left_alone_and_the_strongest_are_kept(narrow: GraphModule) -> None:
    strengths = read_strengths(narrow)
    masks = channel_masks(narrow, strengths)
    assert len(masks) == 7
    for path, mask in masks.items():
        assert strengths[path][mask].min() >= strengths[path][~mask].max()
    assert [mask[:3].all().item() for mask in channel_masks(narrow).values()] == [True] * 7


def test_what_is_read_least_costs_least(narrow: GraphModule) -> None:
    """A channel that the next layer multiplies by zero can go without a change; sorting finds it, order does not."""
    layers = [module for module in narrow.modules() if isinstance(module, nn.Conv2d)]
    masks = {}
    with torch.no_grad():
        for path, layer, reader in zip(read_strengths(narrow), layers, layers[1:], strict=False):
            reader.weight[:, 0] = 0
            mask = torch.ones(layer.out_channels, dtype=torch.bool)
            mask[read_strengths(narrow)[path].argmin()] = False
            masks[path] = mask
    assert not any(mask[0] for mask in masks.values())
    x = torch.rand(2, 3, 32, 32)
    smaller = without_channels(narrow, Masks(masks))
    first = without_channels(narrow, Masks({path: mask.flip(0) for path, mask in masks.items()}))
    off, off_by_order = ((graph(x) - narrow(x)).abs().max().item() for graph in (smaller, first))
    assert off < 1e-6 and off_by_order > 1e-5


def test_sparsities_leave_a_quarter() -> None:
    ratios = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    scan = {"small": dict.fromkeys(ratios, 5.0), "large": dict(zip(ratios, (0, 0, 0.1, 0.3, 1, 6), strict=True))}
    sizes = {"small": 10, "large": 990}
    chosen = chosen_sparsities(scan, sizes)
    left = sum(size * (1 - chosen[path]) for path, size in sizes.items())
    assert left <= 250 and chosen["small"] < chosen["large"] <= 0.9
    hopeless = {path: dict.fromkeys(ratios, 100.5) for path in sizes}
    assert chosen_sparsities(hopeless, sizes) == {"small": 0.9, "large": 0.9}


def test_masks_reach_the_weights(narrow: GraphModule) -> None:
    masked = apply_masks(narrow, fine_grained_masks(narrow, {"classifier": 0.5}))
    weight = masked.get_submodule("classifier").get_parameter("weight")
    assert int((weight == 0).sum()) == zeros_of(weight.numel(), 0.5)
