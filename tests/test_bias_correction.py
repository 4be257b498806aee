"""Biases that take back what rounding the weights adds on average."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_graphs import fused, observed, outputs_of
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.quantization.bias_correction import find_means, output_error, take_out_means
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.observers import NothingObserved

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
