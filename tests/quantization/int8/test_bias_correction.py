"""Biases are corrected by the mean error of rounded weights."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from tiny_graphs import fused, observed, outputs_of
from torch import Tensor, nn

import fxpasses as fx
from fxpasses import InputError
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.bias_correction import (
    ChannelMeans,
    find_means,
    mean_output_error,
    output_error,
    take_out_means,
)
from fxpasses.quantization.ranges.observers import NothingObserved

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(6, 4), (3, 6)),
    "conv": (nn.Conv2d(6, 4, 3, padding=0), (2, 6, 7, 8)),
    "grouped": (nn.Conv2d(6, 4, 3, groups=2), (2, 6, 7, 8)),
    "depthwise": (nn.Conv2d(6, 6, 3, groups=6), (2, 6, 7, 8)),
    "conv1d": (nn.Conv1d(6, 4, 3), (2, 6, 9)),
    "pointwise transposed": (nn.ConvTranspose2d(6, 4, 2, stride=2), (2, 6, 7, 8)),
    "grouped transposed": (nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), (2, 6, 7, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_error_is_that_of_the_layer(name: str) -> None:
    """Constant channels have no borders to leave out, so the formula is exact."""
    layer, shape = LAYERS[name]
    means = torch.linspace(-1, 2, 6, dtype=torch.float64)
    x = means.float().reshape(1, 6, *[1] * (len(shape) - 2)).expand(shape)
    weight = layer.state_dict()["weight"]
    error = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)) / 50
    moved = copy.deepcopy(layer)
    moved.load_state_dict(layer.state_dict() | {"weight": weight + error})
    off: Tensor = outputs_of(moved, (x,))[0] - outputs_of(layer, (x,))[0]
    channels_first = off.transpose(0, 1).flatten(1) if off.dim() > 2 else off.T
    assert torch.allclose(output_error(layer, error, means), channels_first.double().mean(1), atol=1e-5)


def test_layers_of_one_input_share_a_watcher() -> None:
    class TwoReaders(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            total: Tensor = self.a(x) + self.b(x)
            return total

    graph = fx.observe(fx.capture(TwoReaders().eval(), torch.randn(2, 3, 5, 5)))
    assert len(find_means(graph)) == 1
    fx.calibrate(graph, [torch.ones(2, 3, 5, 5)])
    means = take_out_means(graph)
    assert means.keys() == {"a", "b"}
    assert torch.equal(means["a"], torch.ones(3, dtype=torch.float64))
    assert find_means(graph) == []


def test_means_need_data() -> None:
    with pytest.raises(NothingObserved):
        take_out_means(fx.observe(fused("conv_bn_relu")))


def test_watchers_are_put_in_only_where_they_are_wanted() -> None:
    assert find_means(observed("conv_bn_relu", QuantConfig(bias_correction=True)))
    assert not find_means(observed("conv_bn_relu", QuantConfig(bias_correction=False)))


def test_the_mean_output_is_closer_to_that_of_the_float_graph() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.Conv2d(8, 16, 1)).eval()
    x = torch.rand(16, 8, 12, 12) + 1
    graph = fx.capture(model, x)
    off: dict[bool, float] = {}
    for wanted in (False, True):
        int8 = fx.quantize(model, x, [x], QuantConfig(bias_correction=wanted))
        error = (outputs_of(int8, (x,))[0] - outputs_of(graph, (x,))[0]).mean((0, 2, 3))
        off[wanted] = float(error.abs().mean())
    assert off[True] < off[False] / 2


FLOAT32_SUM = 1e-5
"""Relative error of a float32 mean of a few thousand values, and of a float32 layer's output."""


def constant_channels(c: int, *sizes: int, n: int = 2) -> tuple[Tensor, Tensor]:
    """Inputs ``[n, c, *sizes]`` whose channels are constant, and those constants."""
    means = torch.randn(c, generator=torch.Generator().manual_seed(c))
    return means.reshape(1, c, *[1] * len(sizes)).expand(n, c, *sizes).clone(), means


def rounded(weight: Tensor) -> Tensor:
    return torch.round(weight * 8) / 8


@pytest.mark.parametrize(("shape", "axis"), [((4, 3, 5, 7), 1), ((4, 6, 3), -1), ((4, 3), 1), ((3,), 0)])
def test_means_of_each_channel(shape: tuple[int, ...], axis: int) -> None:
    x = torch.randn(shape) + 1
    watch = ChannelMeans(axis)
    assert watch(x) is x
    watch(x * 3)
    others = [d for d in range(x.dim()) if d != axis % x.dim()]
    expected = 2 * (x.double().mean(others) if others else x.double())
    assert torch.allclose(watch.means, expected, rtol=FLOAT32_SUM, atol=FLOAT32_SUM)


def test_batches_of_different_size_weigh_by_their_values() -> None:
    x = torch.randn(10, 3, 6, 5)
    whole, parts = ChannelMeans(1), ChannelMeans(1)
    whole(x.to(memory_format=torch.channels_last))
    for part in (x[:1], x[1:8], x[8:]):
        parts(part[:, :, :, :3])
        parts(part[:, :, :, 3:])
    assert torch.allclose(whole.means, parts.means, rtol=FLOAT32_SUM, atol=FLOAT32_SUM)


def test_nothing_is_kept_or_changed_and_modes_mix() -> None:
    watch = ChannelMeans(0)
    x = torch.ones(3, requires_grad=True)
    with torch.inference_mode():
        watch(torch.ones(3))
    watch(x)
    twin = copy.deepcopy(watch)
    twin(torch.full((3,), 4.0))
    assert watch.means.tolist() == [1.0] * 3 and twin.means.tolist() == [2.0] * 3
    assert not watch.means.requires_grad
    with torch.no_grad():
        x.zero_()
    assert watch.means.tolist() == [1.0] * 3


def test_asking_before_anything_was_seen() -> None:
    watch = ChannelMeans(1)
    watch(torch.zeros(0, 3))
    with pytest.raises(NothingObserved, match="no value has passed"):
        _ = watch.means


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="calibration met"):
        ChannelMeans(1)(torch.tensor([[1.0, bad]]))


WEIGHTED_LAYERS = [
    nn.Conv1d(4, 6, 3),
    nn.Conv2d(4, 6, (3, 2), stride=2, groups=2),
    nn.Conv2d(4, 8, 3, groups=4, dilation=2),
    nn.Conv3d(2, 3, 2),
    nn.Linear(4, 7),
]


@pytest.mark.parametrize("layer", WEIGHTED_LAYERS, ids=str)
def test_the_error_is_that_of_the_mean_output(layer: nn.Conv2d | nn.Linear) -> None:
    kernel_dims = layer.weight.dim() - 2
    groups = int(getattr(layer, "groups", 1))
    channels = layer.weight.shape[1] * groups
    x, means = constant_channels(channels, *[9] * kernel_dims)
    coarse = copy.deepcopy(layer)
    coarse.weight.data = rounded(layer.weight.data)
    with torch.no_grad():
        off = (coarse(x) - layer(x)).transpose(0, 1).flatten(1).mean(1)
    found = mean_output_error(coarse.weight.data - layer.weight.data, means, groups=groups)
    assert found.dtype == torch.float64
    assert torch.allclose(found.float(), off, rtol=FLOAT32_SUM, atol=FLOAT32_SUM)
    assert float(off.abs().max()) > 1e-3


@pytest.mark.parametrize(
    "layer", [nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), nn.ConvTranspose1d(3, 5, 4, stride=4)]
)
def test_transposed_layers_spread_their_input(layer: nn.ConvTranspose2d | nn.ConvTranspose1d) -> None:
    kernel_dims = layer.weight.dim() - 2
    x, means = constant_channels(layer.weight.shape[0], *[5] * kernel_dims)
    coarse = copy.deepcopy(layer)
    coarse.weight.data = rounded(layer.weight.data)
    with torch.no_grad():
        off = (coarse(x) - layer(x)).transpose(0, 1).flatten(1).mean(1)
    error = coarse.weight.data - layer.weight.data
    found = mean_output_error(error, means, groups=layer.groups, spread=math.prod(layer.stride))
    assert torch.allclose(found.float(), off, rtol=FLOAT32_SUM, atol=FLOAT32_SUM)


def test_correcting_the_bias_leaves_no_mean_error_on_real_inputs() -> None:
    generator = torch.Generator().manual_seed(5)
    layer = nn.Conv2d(8, 8, 3, groups=8)
    x = torch.randn(16, 8, 12, 12, generator=generator).relu()
    watch = ChannelMeans(1)
    watch(x)
    coarse = copy.deepcopy(layer)
    coarse.weight.data = rounded(layer.weight.data)
    corrected = copy.deepcopy(coarse)
    assert corrected.bias is not None
    corrected.bias.data -= mean_output_error(coarse.weight.data - layer.weight.data, watch.means, groups=8).float()
    with torch.no_grad():
        exact = layer(x)
        before, after = ((other(x) - exact) for other in (coarse, corrected))
    assert float(after.mean((0, 2, 3)).abs().max()) < 0.1 * float(before.mean((0, 2, 3)).abs().max())
    assert float(after.square().mean()) < float(before.square().mean())
