"""Observers by name, as on the command line or in a saved recipe: ``histogram``, ``percentile:99.99``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ...errors import InputError
from .observers import (
    EntropyObserver,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageObserver,
    Observer,
    PercentileObserver,
    Sweeping,
)

SWEEP = "sweep"
"""Name that stands for the best of several observers; see :mod:`fxpasses.quantization.repairs.observer_sweep`."""

_DEFAULTS: dict[str, float | None] = {
    "minmax": None,
    "moving_average": 0.01,
    "histogram": 2.0,
    "percentile": 99.999,
    "entropy": None,
    SWEEP: None,
}
"""Name of each observer and the default of its setting; None if it has no setting."""

OBSERVER_NAMES = tuple(_DEFAULTS)


@dataclass(frozen=True)
class ObserverSpec:
    """Name and setting of an observer; ``str()`` gives the spelling that :func:`parse_observer` reads.

    Attributes:
        name: one of :data:`OBSERVER_NAMES`.
        value: the momentum of a moving average (0 to 1), the norm of a histogram's error (1 to 8), the percentile
            (50 to 100); None for the default, and for observers that have no setting.

    Raises:
        InputError: an unknown name (the nearest is suggested), or a setting outside its range.
    """

    name: str = "histogram"
    value: float | None = None

    def __post_init__(self) -> None:
        if self.name not in _DEFAULTS:
            near = difflib.get_close_matches(self.name, OBSERVER_NAMES, n=1, cutoff=0.4)
            raise InputError(
                f"observer {self.name!r}",
                why="there is no observer of that name",
                fix=(f"did you mean {near[0]!r}? There " if near else "there ") + f"are: {', '.join(OBSERVER_NAMES)}",
            )
        if self.value is None:
            return
        ends = {"moving_average": (0.0, 1.0), "histogram": (1.0, 8.0), "percentile": (50.0, 100.0)}.get(self.name)
        if ends is None:
            raise InputError(f"observer '{self}'", why=f"{self.name} has no setting", fix=f"write {self.name!r}")
        if not ends[0] <= self.value <= ends[1]:
            raise InputError(
                f"observer '{self}'",
                why=f"its setting must lie between {ends[0]:g} and {ends[1]:g}",
                fix=f"the default is '{self.name}:{_DEFAULTS[self.name]}'",
            )

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value!r}"

    def build(self) -> Observer:
        """Create the observer."""
        value = _DEFAULTS[self.name] if self.value is None else self.value
        if value is None:
            kinds: dict[str, type[Observer]] = {"minmax": MinMaxObserver, "entropy": EntropyObserver, SWEEP: Sweeping}
            return kinds[self.name]()
        if self.name == "moving_average":
            return MovingAverageObserver(momentum=value)
        if self.name == "histogram":
            return HistogramObserver(norm=value)
        return PercentileObserver(percentile=value)


def parse_observer(spelling: str) -> ObserverSpec:
    """Parse ``name`` or ``name:number``.

    Raises:
        InputError: in the cases of :class:`ObserverSpec`, or the text after the colon is no number.
    """
    name, colon, number = spelling.strip().partition(":")
    if not name:
        raise InputError(f"observer {spelling!r}", why="it names none", fix=f"name one of {', '.join(OBSERVER_NAMES)}")
    if not colon:
        return ObserverSpec(name)
    try:
        value = float(number)
    except ValueError:
        raise InputError(
            f"observer {spelling!r}", why=f"{number!r} is not a number", fix="write for example 'percentile:99.99'"
        ) from None
    return ObserverSpec(name, value)
