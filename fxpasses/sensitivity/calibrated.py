"""A graph calibrated once, from which int8 graphs are made with any choice of units in float.

Every tensor that some choice could put on an int8 grid has an observer of its own, so a conversion needs no data: its
scales are those that observing, calibrating and converting with the same overrides would give, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, fx

from fxpasses.pass_runner import run_passes
from fxpasses.quantization.calibration import calibrate
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.convert import convert
from fxpasses.quantization.lowerable import LOWERING
from fxpasses.quantization.observe import find_observers, observe
from fxpasses.quantization.observers import Observer
from fxpasses.quantization.qparams import IntType
from fxpasses.quantization.range_search import Range

from .units import Unit, find_units


@dataclass(frozen=True)
class Calibrated:
    """What :func:`calibrate_once` made.

    Attributes:
        float_graph: FLOAT, with the same nodes as the int8 graphs are made from.
        observed: OBSERVED, an observer at every tensor.
        config: of the quantization.
        units: what can be left in float, in order.
    """

    float_graph: fx.GraphModule
    observed: fx.GraphModule
    config: QuantConfig
    units: tuple[Unit, ...]

    def convert(self, *in_float: Unit) -> fx.GraphModule:
        """The QUANTIZED graph with these units in float.

        Raises:
            GraphError: as :func:`fxpasses.convert` says.
        """
        return convert(self.observed, self.config_of(*in_float))

    def alone(self, unit: Unit) -> fx.GraphModule:
        """The QUANTIZED graph in which one unit is int8 and everything else float."""
        return self.convert(*(other for other in self.units if other is not unit))

    def config_of(self, *in_float: Unit) -> QuantConfig:
        """The settings that leave these units in float."""
        kept = tuple(override for unit in in_float for override in unit.keep_float)
        return replace(self.config, overrides=(*self.config.overrides, *kept))


def calibrate_once(
    gm: fx.GraphModule, config: QuantConfig, batches: Iterable[Any], progress: Callable[[int], None] | None = None
) -> Calibrated:
    """Observe a FLOAT graph, fused, and calibrate it.

    Raises:
        GraphError, InputError: as :func:`fxpasses.observe` and :func:`fxpasses.calibrate` say.
    """
    float_graph = run_passes(gm, LOWERING)
    observed = observe(gm, config, every_tensor=True)
    calibrate(observed, batches, progress)
    _settle(observed, config)
    return Calibrated(float_graph, observed, config, tuple(find_units(float_graph, config)))


class SettledObserver(Observer):
    """The range another observer found, and nothing of how: searching for it is most of a conversion's time."""

    def __init__(self, source: Observer, grid: IntType, symmetric: bool) -> None:
        super().__init__()
        self._observed, self._extremes = source.observed, source.extremes
        self._range = source.range(grid, symmetric)

    @property
    def observed(self) -> int:
        return self._observed

    @property
    def extremes(self) -> Range:
        return self._extremes

    def _take_in(self, x: Tensor) -> None:
        raise AssertionError("what is settled observes no more")

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        return self._range


def _settle(observed: fx.GraphModule, config: QuantConfig) -> None:
    target = config.for_target
    for node in find_observers(observed).values():
        observer = observed.get_submodule(str(node.target))
        assert isinstance(observer, Observer)
        settled = SettledObserver(observer, target.activations, target.symmetric_activations)
        observed.set_submodule(str(node.target), settled)
