"""The options of static quantization as settings, and which of them were said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fxpasses.quantization.config import LARGEST_BITS, Override, QuantConfig
from fxpasses.quantization.numbers.weight_groups import MOST_BITS
from fxpasses.quantization.ranges.observer_spec import parse_observer

GROUP_SIZE = 16
"""Of weights of few bits: on MobileNetV2 3 dB over a step for each channel, for a quarter of a bit."""


@dataclass(frozen=True)
class StaticOptions:
    """What the command line says, as it spells it."""

    observers: Sequence[str] | None
    keep_float: Sequence[str] | None
    target: str
    exact: bool
    equalize: bool
    bias_correction: bool
    bits: int
    rounding: str
    smooth: str | None = None
    reestimate: bool = False
    activation_bits: int = LARGEST_BITS
    group_size: int | None = None
    pixel_grid: bool = True
    narrow_ranges: bool = True
    float_results: bool = True

    def config(self) -> QuantConfig:
        """The settings.

        Raises:
            InputError: there are none of that name.
        """
        observer, overrides = overrides_of(self.observers or (), self.keep_float or ())
        return QuantConfig(
            target=self.target,
            observer=observer or QuantConfig.observer,
            exact=self.exact,
            overrides=overrides,
            equalization=self.equalize,
            smoothing=_alpha(self.smooth),
            pixel_grid=self.pixel_grid,
            narrow_ranges=self.narrow_ranges,
            bias_correction=self.bias_correction,
            float_results=self.float_results,
            reestimation=self.reestimate,
            weight_bits=self.bits,
            activation_bits=self.activation_bits,
            group_size=self.group_size or (GROUP_SIZE if self.bits <= MOST_BITS else None),
            weight_search="minmax" if self.bits == LARGEST_BITS else "mse",
            rounding=self.rounding,
        )

    @property
    def said(self) -> list[str]:
        """Options that ask for something else than they do by default, which a recipe leaves no room for."""
        others = {
            "--observer": bool(self.observers),
            "--keep-float": bool(self.keep_float),
            "--exact": self.exact,
            "--target": self.target != QuantConfig.target,
            "--no-equalize": not self.equalize,
            "--smooth": self.smooth is not None,
            "--no-pixel-grid": not self.pixel_grid,
            "--no-narrow-ranges": not self.narrow_ranges,
            "--no-bias-correction": not self.bias_correction,
            "--no-float-results": not self.float_results,
            "--reestimate": self.reestimate,
            "--activation-bits": self.activation_bits != LARGEST_BITS,
            "--bits": self.bits != LARGEST_BITS,
            "--group-size": self.group_size is not None,
            "--rounding": self.rounding != QuantConfig.rounding,
        }
        return [option for option, is_said in others.items() if is_said]


def _alpha(spelled: str | None) -> float | str | None:
    """``0.5`` as a number; what is none is for the settings to refuse."""
    try:
        return None if spelled is None else float(spelled)
    except ValueError:
        return spelled


def overrides_of(observers: Sequence[str], keep_float: Sequence[str]) -> tuple[str | None, tuple[Override, ...]]:
    """The observer for all (None if not given), and the settings for some; those kept in float come last and win."""
    general, special = None, []
    for spelled in observers:
        pattern, equals, name = spelled.rpartition("=")
        if equals:
            special.append(Override(pattern, observer=name))
        else:
            parse_observer(name)  # an empty one would pass for none
            general = name
    return general, (*special, *(Override(pattern, keep_float=True) for pattern in keep_float))
