"""The order of static quantization, tested with a net in which every step changes something.

The steps are recorded as they run. Leaving one out must change the integers, so that every step here has an effect. A
swap of two neighbours must be visible in the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import combinations
from typing import Any

import pytest
import torch
from contracts import fingerprint
from torch import Tensor, nn

import fxpasses
from fxpasses.quantization import recipe
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.repair_table import REPAIRS
from fxpasses.sensitivity.calibrated import calibrate_once, measure_distributions

BEFORE = ("smoothing", "equalization", "pixel grid")
"""Repairs of the float graph, by their names in the table."""
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


class Net(nn.Module):
    """Uneven channels to equalize, a LayerNorm to smooth, and two wide features that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.norm, self.wide, self.last = nn.LayerNorm(12), nn.Linear(12, 12), nn.Linear(12, 5)
        with torch.no_grad():
            self.first.weight.mul_(torch.logspace(-1, 1, 8).reshape(-1, 1, 1, 1))
            self.norm.weight.copy_(torch.logspace(-0.7, 0.7, 12))
            self.wide.weight[0].mul_(50)
            self.wide.weight[1] = -self.wide.weight[0]
            self.last.weight[:, :2].zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3))
        y: Tensor = self.last(self.wide(self.norm(x)))
        return y


def images(seed: int, count: int = 16) -> Tensor:
    """Normalized pixels: each channel lies on another grid."""
    pixels = torch.randint(0, 256, (count, 3, 12, 12), generator=torch.Generator().manual_seed(seed)) / 255
    return (pixels - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)


@cache
def data() -> list[Tensor]:
    return [images(seed) for seed in range(3)]


@cache
def graph() -> Any:
    return fxpasses.fuse(fxpasses.capture(Net().eval(), (images(9, 2),)))


Hook = Callable[[str, Callable[..., Any]], Callable[..., Any]]


def hook_all(monkeypatch: pytest.MonkeyPatch, names: Iterable[str], hook: Hook) -> None:
    """Replace steps: those of repairs in their modules, the others in the recipe."""
    modules = {repair.name: repair.module for repair in REPAIRS.values() if repair.module}
    for name in names:
        if name in modules:
            module = import_module(f"fxpasses.quantization.{modules[name]}")
            monkeypatch.setattr(module, "STEP", replace(module.STEP, run=hook(name, module.STEP.run)))
        else:
            monkeypatch.setattr(recipe, name, hook(name, getattr(recipe, name)))


MIDDLE = ("observe", "calibrate", "narrow ranges")
EIGHT_BITS = fxpasses.TrainingConfig(QuantConfig(target="x86", smoothing=0.5))
ENDS: dict[str, dict[str, Any]] = {
    "convert": {},
    "re-estimation": {"reestimation": True},
    "learned rounding": {"rounding": "learned"},
}
"""Steps that make integers, with the settings that ask for them."""


def config_for(end: str) -> QuantConfig:
    return QuantConfig(target="x86", smoothing=0.5, overrides=(Override("second", weight_bits=4),), **ENDS[end])


def order_of(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> list[str]:
    seen: list[str] = []

    def recorded(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return step(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        hook_all(patch, (*BEFORE, *MIDDLE, "sweep_observers", *ENDS), recorded)
        run()
    return seen


@pytest.mark.parametrize("end", ENDS)
def test_the_order(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    found = order_of(monkeypatch, lambda: recipe.quantize_graph(graph(), data(), config_for(end)))
    assert found == [*BEFORE, *MIDDLE, end]


def test_the_order_of_a_sweep_and_of_a_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    config = QuantConfig(target="x86", observer="sweep")
    placed: list[str] = []

    def place(observed: object, config: QuantConfig) -> QuantConfig:
        placed.append("place")
        return config

    found = order_of(monkeypatch, lambda: recipe.quantize_graph(graph(), data(), config, place=place))
    assert found[:4] == ["equalization", "pixel grid", "observe", "sweep_observers"] and found[-1] == "convert"
    assert placed == ["place"]


@pytest.mark.parametrize("analysis", [calibrate_once, measure_distributions])
def test_sensitivity_goes_the_same_way(monkeypatch: pytest.MonkeyPatch, analysis: Callable[..., object]) -> None:
    found = order_of(monkeypatch, lambda: analysis(graph(), config_for("convert"), data()))
    assert found == [*BEFORE, *(MIDDLE if analysis is calibrate_once else MIDDLE[:-1])]


def test_training_goes_the_first_half(monkeypatch: pytest.MonkeyPatch) -> None:
    found = order_of(monkeypatch, lambda: fxpasses.prepare_training(graph(), data(), EIGHT_BITS))
    assert found == [*BEFORE, *MIDDLE]
    few = fxpasses.TrainingConfig(EIGHT_BITS.quant, activation_bits=4)  # bounds stand where ranges end
    assert order_of(monkeypatch, lambda: fxpasses.prepare_training(graph(), data(), few)) == [*BEFORE, *MIDDLE[:-1]]


@cache
def integers(end: str) -> object:
    return fingerprint(recipe.quantize_graph(graph(), data(), config_for(end)).graph)


WITHOUT: dict[str, dict[str, Any]] = {
    "smoothing": {"equalization": False},
    "narrow ranges": {"equalization": False, "smoothing": None},
}
"""Steps that repeat the choice of another step, or leave it nothing to do."""


@pytest.mark.parametrize("left_out", [*BEFORE, "narrow ranges"])
def test_no_step_is_idle(monkeypatch: pytest.MonkeyPatch, left_out: str) -> None:
    config = replace(config_for("convert"), **WITHOUT.get(left_out, {}))
    complete = recipe.quantize_graph(graph(), data(), config).graph
    hook_all(monkeypatch, [left_out], lambda name, step: lambda given, *args, **kwargs: given)
    assert fingerprint(recipe.quantize_graph(graph(), data(), config).graph) != fingerprint(complete)


def test_every_end_gives_other_integers() -> None:
    assert all(integers(a) != integers(b) for a, b in combinations(ENDS, 2))


def by_hand(first: Sequence[Any]) -> Any:
    """Steps as a user calls them one by one."""
    config = config_for("convert")
    whole = replace(config, overrides=())
    gm = fxpasses.smooth(graph(), first, 0.5, whole)
    gm = fxpasses.align_pixels(fxpasses.equalize(gm, first, whole), first, config)
    gm = fxpasses.observe(gm, config)
    fxpasses.calibrate(gm, data())
    fxpasses.narrow_ranges(gm, data())
    return fxpasses.convert(gm)


def test_the_public_steps_in_a_row_are_the_recipe() -> None:
    assert fingerprint(by_hand(data())) == integers("convert")
    model = fxpasses.quantize(Net().eval(), (images(9, 2),), data(), config_for("convert"))
    assert fingerprint(model) == integers("convert")


def test_steps_are_told() -> None:
    told: list[tuple[str, int | None]] = []

    class Told(type(recipe.SILENT)):  # type: ignore[misc]  # a class found at run time
        def step(self, name: str, total: int | None = None) -> Any:
            told.append((name, total))
            return super().step(name, total)

    recipe.quantize_graph(
        graph(), data(), config_for("learned rounding"), keep_nearest=True, run=recipe.Run(Told(), 48)
    )
    names = ["equalize", "calibrate", "narrow ranges", "convert", "learn rounding"]
    assert told == list(zip(names, [None, 48, None, None, 0], strict=True))
