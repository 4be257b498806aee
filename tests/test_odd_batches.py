"""Unusual calibration data: empty and missing batches, for every observer and method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from tiny_graphs import fused
from torch import Tensor, nn

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export import to_torch
from fxpasses.quantization.config import QuantConfig

SAMPLES = torch.randn(8, 3, 6, 5, generator=torch.Generator().manual_seed(3))
NONE_OF_THEM = SAMPLES[:0]


def _model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(8, 3)]
        return nn.Sequential(*layers).eval()


def _config(**settings: Any) -> QuantConfig:
    return QuantConfig(target="x86", **({"observer": "minmax"} | settings))


METHODS: dict[str, QuantConfig] = {
    "minmax": _config(),
    "histogram": _config(observer="histogram"),
    "entropy": _config(observer="entropy"),
    "percentile": _config(observer="percentile:99.9"),
    "moving average": _config(observer="moving_average"),
    "nothing repaired": _config(equalization=False, pixel_grid=False, bias_correction=False, narrow_ranges=False),
    "learned rounding": _config(rounding="learned", weight_bits=4),
    "re-estimated": _config(reestimation=True),
    "smoothed": _config(smoothing=0.5),
}
PLACES: dict[str, Callable[[], Iterable[Any]]] = {
    "last": lambda: [SAMPLES, NONE_OF_THEM],
    "first": lambda: [NONE_OF_THEM, SAMPLES],
    "every second, from a generator": lambda: (b for b in (SAMPLES[:4], NONE_OF_THEM, SAMPLES[4:], NONE_OF_THEM)),
}


def _outputs(batches: Iterable[Any], config: QuantConfig) -> Tensor:
    out: Tensor = to_torch(fxpasses.quantize(_model(), SAMPLES[:2], batches, config))(SAMPLES)
    return out.detach()


LONG = ("entropy", "moving average", "percentile")
"""Methods for slow tests: observers like those that are tried always."""


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=pytest.mark.slow) if m in LONG else m for m in sorted(METHODS)]
)
def test_an_empty_batch_changes_nothing(method: str) -> None:
    config = METHODS[method]
    assert torch.equal(_outputs(PLACES["last"](), config), _outputs([SAMPLES], config))


@pytest.mark.parametrize("place", sorted(PLACES))
def test_wherever_it_is(place: str) -> None:
    found = _outputs(PLACES[place](), METHODS["histogram"])
    expected = _model()(SAMPLES).detach()
    assert float((found - expected).square().sum() / expected.square().sum()) < 1e-2


NOTHING: dict[str, tuple[Any, str]] = {
    "None": (None, r"of type NoneType.*pass a list of tensors"),
    "a number": (7, r"of type int.*pass a list of tensors"),
    "an empty list": ([], r"it is empty.*pass at least one batch"),
    "empty batches alone": ([NONE_OF_THEM, NONE_OF_THEM], r"it is empty.*pass at least one batch"),
    "a batch that is None": ([None], r"calibration batch 0.*holds a NoneType.*yield a tensor"),
    "None behind others": ([SAMPLES, None], r"calibration batch 1.*holds a NoneType.*yield a tensor"),
    "an empty tuple": ([()], r"it has 0 inputs, the model takes 1.*yield a tensor"),
    "a word": (["images"], r"it holds a str where the model takes a tensor.*yield a tensor"),
}


@pytest.mark.parametrize("method", ["minmax", "nothing repaired", "learned rounding"])
@pytest.mark.parametrize("name", sorted(NOTHING))
def test_no_data_is_told(name: str, method: str) -> None:
    batches, words = NOTHING[name]
    with pytest.raises(InputError, match=f"(?s){words}"):
        fxpasses.quantize(_model(), SAMPLES[:2], batches, METHODS[method])


@pytest.mark.parametrize("name", ["None", "empty batches alone"])
def test_each_step_alone_says_so(name: str) -> None:
    batches, words = NOTHING[name]
    graph = fused("conv_bn_relu")
    for step in (
        lambda: fxpasses.equalize(graph, batches),
        lambda: fxpasses.align_pixels(graph, batches),
        lambda: fxpasses.calibrate(fxpasses.observe(graph, _config()), batches),
    ):
        with pytest.raises(InputError, match=f"(?s){words}|calibration data"):
            step()


def test_the_remedy_works() -> None:
    """The remedy in the message works: a list of tensors, or a DataLoader."""
    assert math.isfinite(float(_outputs([SAMPLES[:2]], _config()).sum()))
    loader: Any = torch.utils.data.DataLoader(SAMPLES, batch_size=3)  # type: ignore[arg-type]  # a tensor is a data set
    assert math.isfinite(float(_outputs(loader, _config()).sum()))
