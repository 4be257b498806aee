"""Ranges that are narrowed because this reduces the rounding error of the outputs, and those that are not changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny_graphs import fused as tiny_fused
from tiny_graphs import log_of
from tiny_nets.net import OneInput
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.export.metadata import qparams_hash
from fxpasses.graph.shapes import shape_of
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.observe import find_observers, without_observers
from fxpasses.quantization.ranges.observers import Observer
from fxpasses.quantization.repairs.output_noise import (
    FRACTIONS,
    SAMPLES,
    NarrowedObserver,
    _begin_of_end,
    _values_at,
    narrow_ranges,
)
from fxpasses.sensitivity.calibrated import calibrate_once, measure_distributions

WIDE = 50.0
PLAIN = QuantConfig(equalization=False, float_results=False)
"""Settings with channels of their original ranges, and a grid for the logits."""


class Net(nn.Module):
    """Features of an image; two of 64 are ``wide`` times as large and have no effect on the output."""

    def __init__(self, wide: float) -> None:
        super().__init__()
        self.conv, self.hidden, self.last = nn.Conv2d(3, 16, 3), nn.Linear(16, 64), nn.Linear(64, 4)
        with torch.no_grad():
            self.hidden.weight[0] *= wide
            self.hidden.weight[1] = -self.hidden.weight[0]
            self.last.weight[:, :2] = 0

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.hidden(self.conv(x).relu().mean((2, 3))))
        return y


def images() -> list[Tensor]:
    return list(
        torch.randn(48, 3, 12, 12, generator=torch.Generator().manual_seed(1))
        .mul(torch.linspace(1, 3, 48).reshape(-1, 1, 1, 1))[
            torch.randperm(48, generator=torch.Generator().manual_seed(2))
        ]
        .split(16)
    )


def net(wide: float) -> nn.Module:
    torch.manual_seed(3)
    return Net(wide).eval()


def observed(wide: float, config: QuantConfig = PLAIN) -> fx.GraphModule:
    gm = fxpasses.observe(fxpasses.fuse(fxpasses.capture(net(wide), images()[0])), config)
    fxpasses.calibrate(gm, images())
    return gm


def narrowed(gm: fx.GraphModule) -> dict[str, float]:
    modules = {name: gm.get_submodule(str(node.target)) for name, node in find_observers(gm).items()}
    return {name: m.fraction for name, m in modules.items() if isinstance(m, NarrowedObserver)}


def noise(gm: fx.GraphModule, wide: float) -> float:
    (x,) = [torch.cat(images())]
    with torch.no_grad():
        return float((fxpasses.convert(gm)(x) - net(wide)(x)).square().sum())


def test_a_tensor_whose_widest_channel_nothing_reads() -> None:
    gm = observed(WIDE)
    before = noise(gm, WIDE)
    narrow_ranges(gm, images())
    assert narrowed(gm) == {"hidden": min(FRACTIONS)}
    (change,) = log_of(gm, "narrow_ranges").result.changed
    assert change.node == "hidden" and "dB less noise at the outputs" in change.what
    assert noise(gm, WIDE) < 0.5 * before


def test_what_is_clipped_and_read_keeps_its_range() -> None:
    gm = observed(1.0)
    narrow_ranges(gm, images())
    assert narrowed(gm) == {}


def test_a_narrowed_observer_goes_on_observing() -> None:
    gm = observed(WIDE)
    (low, high), node = _range(gm), find_observers(gm)["hidden"]
    narrow_ranges(gm, images())
    assert _range(gm) == pytest.approx((low / 2, high / 2))
    observer = gm.get_submodule(str(node.target))
    assert isinstance(observer, NarrowedObserver)
    seen = observer.observed
    fxpasses.calibrate(gm, [10 * images()[0]])
    assert observer.observed > seen
    assert _range(gm)[1] > high / 2


def _range(gm: fx.GraphModule) -> tuple[float, float]:
    observer = gm.get_submodule(str(find_observers(gm)["hidden"].target))
    assert isinstance(observer, Observer)
    return observer.range()


@pytest.mark.parametrize(
    "config",
    [
        QuantConfig(observer="minmax", equalization=False),
        QuantConfig(equalization=False, overrides=(Override("hidden", observer="percentile:99.99"),)),
        QuantConfig(equalization=False, activation_bits=16),
    ],
)
def test_observers_that_were_asked_for_and_tensors_that_are_not_noisy(config: QuantConfig) -> None:
    gm = observed(WIDE, config)
    narrow_ranges(gm, images())
    assert "hidden" not in narrowed(gm)


def test_all_in_one_step_by_step_and_from_one_calibration_are_the_same() -> None:
    made = fxpasses.quantize(net(WIDE), images()[0], images(), PLAIN)
    assert any("of its range" in c.what for c in log_of(made, "narrow_ranges").result.changed)
    stepwise = observed(WIDE)
    narrow_ranges(stepwise, images())
    float_graph = fxpasses.fuse(fxpasses.capture(net(WIDE), images()[0]))
    once = calibrate_once(float_graph, PLAIN, images()).convert()
    settled = measure_distributions(float_graph, PLAIN, _stream()).settle(PLAIN).convert()
    expected = qparams_hash(made)
    assert [qparams_hash(g) for g in (fxpasses.convert(stepwise), once, settled)] == [expected] * 3
    off = fxpasses.quantize(net(WIDE), images()[0], _stream(), QuantConfig(**{**vars(PLAIN), "narrow_ranges": False}))
    assert qparams_hash(off) != expected


def _stream() -> Iterator[Tensor]:
    yield from images()


def test_nets_without_an_end_or_with_too_few_samples_are_left_alone() -> None:
    gm = observed(WIDE)
    narrow_ranges(gm, [images()[0][:1]])
    assert narrowed(gm) == {}
    whole = fxpasses.observe(tiny_fused("conv_bn_relu"))
    fxpasses.calibrate(whole, [torch.randn(2, 5, 9, 7)])
    narrow_ranges(whole, [torch.randn(SAMPLES, 5, 9, 7)])
    assert log_of(whole, "narrow_ranges").result.changed == []


def test_an_end_begins_with_a_batch() -> None:
    """Such samples are not cut into pieces: the first piece would be a batch of fewer samples."""

    def body(net: Any, x: Tensor) -> Tensor:
        pieces = net.last(net.hidden(net.wide(x.reshape(-1, 36)).relu()))
        found: Tensor = net.head(pieces.reshape(-1, 12 * 4).relu())
        return found

    parts = {
        "wide": nn.Linear(36, 900),
        "hidden": nn.Linear(900, 8),
        "last": nn.Linear(8, 4),
        "head": nn.Linear(48, 4),
    }
    gm = fxpasses.observe(fxpasses.fuse(fxpasses.capture(OneInput(body, **parts).eval(), images()[0])), PLAIN)
    fxpasses.calibrate(gm, images())
    narrow_ranges(gm, images())
    cut = _begin_of_end(without_observers(gm))
    assert cut is not None and cut.meta["shape"] == (16, 48)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="calibration data"):
        narrow_ranges(observed(WIDE), [])
    with pytest.raises(GraphError, match="narrow_ranges got a graph in stage FLOAT"):
        narrow_ranges(tiny_fused("conv_bn_relu"), images())


class TwoHeads(nn.Module):
    """Two branches, stacked before their mean: as many as there are images in the example batch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.a(x).relu().mean((2, 3)), self.b(x).relu().mean((2, 3))]).mean(0)


def test_a_first_dimension_that_is_no_batch_by_chance() -> None:
    gm = fxpasses.capture(TwoHeads().eval(), torch.randn(2, 3, 9, 9))
    stacked = next(n for n in gm.graph.nodes if shape_of(n) == (2, 2, 5))
    assert _values_at(gm, stacked, [torch.randn(5, 3, 9, 9)] * 8) is None
