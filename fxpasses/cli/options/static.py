"""Turns the options of static quantization into settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from fxpasses.quantization.config import LARGEST_BITS, Override, QuantConfig
from fxpasses.quantization.numbers.weight_groups import MOST_BITS
from fxpasses.quantization.ranges.observer_spec import parse_observer

from .quantize import QuantizeOptions
from .table import options_of

GROUP_SIZE = 16
"""Default group size of weights of few bits: more accurate than one scale per channel, for a quarter of a bit more."""


def config_of(options: QuantizeOptions) -> QuantConfig:
    """Settings from the options, and settings that follow from few bits.

    Raises:
        InputError: an option has a value that no setting allows.
    """
    settings = {field.name for field in fields(QuantConfig)}
    plain: dict[str, Any] = {
        option.row.sets: getattr(options, option.name)
        for option in options_of(QuantizeOptions)
        if option.row.sets in settings
    }
    observer, overrides = overrides_of(options.observer or (), options.keep_float or ())
    return QuantConfig(
        **plain
        | {
            "observer": observer or QuantConfig.observer,
            "overrides": overrides,
            "smoothing": _alpha(options.smooth),
            "group_size": options.group_size or (GROUP_SIZE if options.bits <= MOST_BITS else None),
            "weight_search": "minmax" if options.bits == LARGEST_BITS else "mse",
        }
    )


def _alpha(spelled: str | None) -> float | str | None:
    """``0.5`` as a number; other text is returned as it is, and the settings refuse it."""
    try:
        return None if spelled is None else float(spelled)
    except ValueError:
        return spelled


def overrides_of(observers: Sequence[str], keep_float: Sequence[str]) -> tuple[str | None, tuple[Override, ...]]:
    """Return the observer for all nodes (None if not given), and the overrides; ``keep_float`` comes last and wins."""
    general, special = None, []
    for spelled in observers:
        pattern, equals, name = spelled.rpartition("=")
        if equals:
            special.append(Override(pattern, observer=name))
        else:
            parse_observer(name)  # an empty name would be taken for no observer
            general = name
    return general, (*special, *(Override(pattern, keep_float=True) for pattern in keep_float))
