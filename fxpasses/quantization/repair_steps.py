"""Steps of repairs: each repair's module has one as ``STEP``, of the class that belongs to the phase of its row.

The classes fix what a step is given and what it returns. :func:`steps_on` finds those that settings ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, TypeVar

from torch import fx

from .config import QuantConfig
from .repair_table import REPAIRS, Phase, Repair, repairs_on

Progress = Callable[[str, int, int], None]
"""Function that is told the running part, the number of parts done, and the number of all."""


@dataclass(frozen=True)
class FloatStep:
    """A change of the fused FLOAT graph.

    Attributes:
        run: takes the graph, the first calibration samples and the settings; returns the changed graph.
        samples: number of first samples it needs.
    """

    phase: ClassVar[Phase] = Phase.FLOAT
    run: Callable[[fx.GraphModule, Sequence[Any], QuantConfig], fx.GraphModule]
    samples: int


@dataclass(frozen=True)
class RangeStep:
    """A change of ranges in a calibrated OBSERVED graph, in place.

    Attributes:
        run: takes the graph, the first samples, and a function that says which tensors, by name, may get another range;
            None for those that the repair chooses itself.
        samples: number of first samples it needs.
    """

    phase: ClassVar[Phase] = Phase.RANGES
    run: Callable[[fx.GraphModule, Sequence[Any], Callable[[str], bool] | None], None]
    samples: int


@dataclass(frozen=True)
class ConversionStep:
    """A conversion that takes the place of rounding to nearest.

    Attributes:
        run: takes the OBSERVED graph, the first samples, the settings and a listener; returns the QUANTIZED graph.
        samples: number of first samples it needs.
        name: what the terminal shows while it runs.
        parts: total for the terminal's bar: 0 if the step reports parts, None if it reports nothing.
        is_compared: whether a caller may want the graph rounded to nearest, too, to compare.
    """

    phase: ClassVar[Phase] = Phase.CONVERSION
    run: Callable[[fx.GraphModule, Sequence[Any], QuantConfig, Progress], fx.GraphModule]
    samples: int
    name: str
    parts: int | None = None
    is_compared: bool = False


Kind = TypeVar("Kind", FloatStep, RangeStep, ConversionStep)


def steps_on(config: QuantConfig, kind: type[Kind]) -> dict[str, Kind]:
    """Steps of one kind that the settings ask for, by the names of their repairs, in the order of the table."""
    return _steps(repairs_on(config, kind.phase).values(), kind)


def steps_of(kind: type[Kind]) -> dict[str, Kind]:
    """All steps of one kind, whatever the settings."""
    return _steps((repair for repair in REPAIRS.values() if repair.phase is kind.phase), kind)


def _steps(repairs: Iterable[Repair], kind: type[Kind]) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for repair in repairs:
        step = import_module(f"{__package__}.{repair.module}").STEP
        assert isinstance(step, kind), f"{repair.module}.STEP is no {kind.__name__}"
        found[repair.name] = step
    return found
