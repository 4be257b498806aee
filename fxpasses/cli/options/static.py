"""Turns the options of static quantization into settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from fxpasses.quantization.config import LARGEST_BITS, Override, QuantConfig
from fxpasses.quantization.numbers.weight_groups import MOST_BITS
from fxpasses.quantization.ranges.observer_spec import parse_observer
from fxpasses.quantization.repair_table import RepairSettings

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
        option.row.sets: _value(option.row.sets, getattr(options, option.name))
        for option in options_of(QuantizeOptions)
        if option.row.sets in settings
    }
    observer, overrides = overrides_of(options.observer or (), options.keep_float or ())
    return QuantConfig(
        **plain
        | {
            "observer": observer or QuantConfig.observer,
            "overrides": overrides,
            "group_size": options.group_size or (GROUP_SIZE if options.bits <= MOST_BITS else None),
            "weight_search": "minmax" if options.bits == LARGEST_BITS else "mse",
        }
    )


_NUMBERS_OR_WORDS = {
    setting for setting, hint in get_type_hints(RepairSettings).items() if {float, str} <= set(get_args(hint))
}
"""Settings whose value is a number or a word; the command line gives text."""


def _value(setting: str, given: Any) -> Any:
    """``0.5`` as a number if the setting takes numbers; other text is returned as it is, and the settings refuse it."""
    if setting not in _NUMBERS_OR_WORDS or given is None:
        return given
    try:
        return float(given)
    except ValueError:
        return given


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
