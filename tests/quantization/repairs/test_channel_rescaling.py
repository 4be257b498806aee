"""Ranges of channels are those of the data, and divisors written into weights cancel."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tiny_graphs import calibration_data, fused, outputs_of
from tiny_nets.all_nets import TINY
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.repairs.channel_rescaling import SAMPLES, ScalableGraph, times_columns

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def scalable(gm: fx.GraphModule, batches: Sequence[object]) -> ScalableGraph:
    return ScalableGraph.of(gm, batches, QuantConfig(), "equalize")


class Seen(fx.Interpreter):
    """Interpreter that keeps every tensor."""

    def __init__(self, gm: fx.GraphModule) -> None:
        super().__init__(gm)
        self.tensors: dict[str, list[Tensor]] = {}

    def run_node(self, n: fx.Node) -> object:
        made = super().run_node(n)
        if isinstance(made, Tensor):
            self.tensors.setdefault(n.name, []).append(made.clone())
        return made


@pytest.mark.parametrize(
    "name", ["conv_bn_relu", "residual_block", "conv_grouped_bn", "squeeze_excite", "layer_norm", "hardswish"]
)
def test_ranges_are_those_of_the_data(name: str) -> None:
    gm, batches = fused(name), calibration_data(TINY[name])
    found = scalable(gm, batches)
    seen = Seen(gm)
    with torch.no_grad():
        for inputs in batches:
            seen.run(*inputs)
    assert found.ranges
    for node, ranges in found.ranges.items():
        channels = found.labels.of[node]
        assert channels is not None
        x = torch.cat(seen.tensors[node.name]).double().movedim(channels.axis, -1).flatten(0, -2)
        torch.testing.assert_close(ranges.low, x.amin(0), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ranges.high, x.amax(0), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ranges.energy, x.square().mean(0), rtol=1e-4, atol=1e-7)


class Handed(nn.Module):
    """Model in which a layer reads the input that another one passes on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hand_on, self.conv = nn.Conv2d(channels, channels, 1, bias=False), nn.Conv2d(channels, 4, 1)
        self.hand_on.weight.data = torch.eye(channels)[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(self.hand_on(x))
        return made


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 5, 1, 1), (1, 5, 6, 7), (4, 1, 3, 2), (70, 5, 2, 2)])
def test_layout_and_batches_make_no_difference(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    x = torch.randn(shape) * torch.logspace(-1, 1, shape[1]).reshape(1, -1, 1, 1)
    gm = fxpasses.capture(Handed(shape[1]).eval(), x[:1])
    batches = [part.to(memory_format=layout) for part in x[:SAMPLES].split(3)]
    (ranges,) = [r for node, r in scalable(gm, batches).ranges.items() if node.name == "hand_on"]
    looked_at = torch.cat(batches).double()
    torch.testing.assert_close(ranges.low, looked_at.amin((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(ranges.high, looked_at.amax((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(ranges.energy, looked_at.square().mean((0, 2, 3)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 5), (6, 3, 4, 5), (6, 2, 3, 4, 5), (6, 2, 1, 3, 2, 5)])
def test_channels_may_come_last_behind_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape) * torch.logspace(-1, 1, 5)
    gm = fxpasses.capture(nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 4)).eval(), x[:2])
    hidden = gm.get_submodule("0")(x).detach().double().flatten(0, -2)
    ranges = {node.name: found for node, found in scalable(gm, [x]).ranges.items()}["_0"]
    torch.testing.assert_close(ranges.low, hidden.amin(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ranges.high, hidden.amax(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ranges.energy, hidden.square().mean(0), rtol=1e-4, atol=1e-6)


def test_what_comes_after_the_first_samples_is_not_run() -> None:
    x = torch.randn(1, 3, 2, 2)
    gm = fxpasses.capture(Handed(3).eval(), x)
    first = torch.randn(SAMPLES, 3, 2, 2)
    found = scalable(gm, [first, torch.full((1, 3, 2, 2), 1e6)])
    assert all(float(r.high.max()) < 1e5 for r in found.ranges.values())


def test_values_that_leave_the_float_range_are_refused() -> None:
    x = torch.randn(2, 3, 2, 2)
    gm = fxpasses.fuse(fxpasses.capture(nn.Sequential(Handed(3), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval(), x))
    with pytest.raises(GraphError, match="NaN or infinite") as raised:
        scalable(gm, [x * 1e38])
    assert raised.value.step == "equalize"


@pytest.mark.parametrize("name", ["conv_bn_relu", "residual_block", "conv_grouped_bn"])
def test_divisors_cancel_out(name: str) -> None:
    gm, batches = fused(name), calibration_data(TINY[name])
    found = scalable(gm, batches)
    fixed = torch.ones(found.labels.count, dtype=torch.bool)
    for group in found.groups:
        fixed[torch.tensor(group.labels)] = group.fixed | group.bound.isfinite()
    divisors = torch.where(fixed, 1.0, 2.0 ** torch.randint(-3, 4, (found.labels.count,)).double())
    found.rescale(divisors)
    for inputs in batches:
        for rescaled, exact in zip(outputs_of(found.gm, inputs), outputs_of(gm, inputs), strict=True):
            torch.testing.assert_close(rescaled, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 4, 3),
        nn.Conv2d(6, 4, 3, groups=2),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Conv1d(6, 3, 1),
        nn.Linear(6, 5),
    ],
    ids=["conv", "grouped", "depthwise", "conv1d", "linear"],
)
def test_columns_are_those_that_read_a_channel(layer: nn.Conv2d | nn.Linear) -> None:
    factors = torch.rand(6) + 0.5
    spatial = () if isinstance(layer, nn.Linear) else (5,) * (layer.weight.dim() - 2)
    x = torch.randn(2, 6, *spatial)
    expected = layer(x * factors.reshape(1, -1, *[1] * len(spatial)))
    layer.weight.data = times_columns(layer, layer.weight.data, factors)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
