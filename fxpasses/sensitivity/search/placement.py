"""Chooses operators to leave in float because the file is then faster: measured in the runtime, one kind at a time.

Int8 is not faster everywhere. Without an integer kernel, a runtime computes in float between two conversions; with one,
a product over few channels may take less time than rounding its result. Which choice is faster depends on the runtime,
its version and the machine, so nothing is assumed. Each kind of operator without weights is left in float in turn, the
most frequent first, and stays in float if the whole file is then faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import fx

from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.convert import convert
from fxpasses.quantization.int8.observe import without_observers

from ..units import Unit, find_units

CLEARLY = 1.03
"""Smallest speedup for which a kind of operator stays in float."""

Faster = Callable[[fx.GraphModule, fx.GraphModule], float]
"""Function that returns the speedup of the second QUANTIZED graph over the first, in its runtime."""


@dataclass(frozen=True)
class Tried:
    """Measurement of one kind of operator, left in float.

    Attributes:
        operator: its name.
        nodes: number of its nodes.
        speedup: speedup of the model with it in float.
        in_float: whether it stays there.
    """

    operator: str
    nodes: int
    speedup: float
    in_float: bool


@dataclass(frozen=True)
class Placement:
    """Settings with overrides for the operators left in float, and all measurements."""

    config: QuantConfig
    tried: tuple[Tried, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """report.json's ``placement``."""
        return [asdict(t) for t in self.tried]


def place(
    observed: fx.GraphModule,
    config: QuantConfig,
    faster: Faster,
    progress: Callable[[str, int, int], None] | None = None,
) -> Placement:
    """Find the kinds of operators that are better left in float.

    Args:
        observed: OBSERVED with ``every_tensor=True``, and calibrated.
        progress: called before each measurement with the operator, the number done, and the total.

    Raises:
        GraphError: see :func:`fxpasses.convert`.
    """
    best, tried = convert(observed, config), list[Tried]()
    kinds = candidates(observed, config)
    for done, (name, units) in enumerate(kinds.items()):
        if progress is not None:
            progress(f"{name} in float", done, len(kinds))
        wanted = replace(config, overrides=(*config.overrides, *overrides_of(units)))
        other = convert(observed, wanted)
        speedup = faster(best, other)
        tried.append(Tried(name, len(units), speedup, speedup >= CLEARLY))
        if speedup >= CLEARLY:
            best, config = other, wanted
    return Placement(config, tuple(tried))


def candidates(observed: fx.GraphModule, config: QuantConfig) -> dict[str, list[Unit]]:
    """Units without weights by their operator, the most frequent first."""
    kinds: dict[str, list[Unit]] = {}
    for unit in find_units(without_observers(observed), config):
        if unit.path is None:
            kinds.setdefault(unit.operator, []).append(unit)
    return dict(sorted(kinds.items(), key=lambda kind: -len(kind[1])))


def overrides_of(units: Sequence[Unit]) -> list[Override]:
    """Overrides that leave all units of one operator in float: for the operator, and for activations they absorbed."""
    absorbed = [f"node:{name}" for unit in units for name in unit.nodes if name != unit.name]
    return [Override(match, keep_float=True) for match in (f"operator:{units[0].operator}", *absorbed)]
