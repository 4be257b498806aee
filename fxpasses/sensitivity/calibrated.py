"""A graph calibrated once, from which int8 graphs are made with any choice of units in float.

Every tensor that can be int8 in some choice has its own observer, so a conversion needs no data. The scales are bit for
bit those of observing, calibrating and converting with the same overrides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, fx

from fxpasses.graph.pass_runner import copy_graph
from fxpasses.graph.stages import graph_facts
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.convert import convert
from fxpasses.quantization.int8.observe import find_observers, without_observers
from fxpasses.quantization.int8.plan import plan_quantization
from fxpasses.quantization.int8.planned_scales import why_float_once_calibrated
from fxpasses.quantization.numbers.qparams import IntType
from fxpasses.quantization.ranges.observer_spec import ObserverSpec
from fxpasses.quantization.ranges.observers import Observer
from fxpasses.quantization.ranges.range_search import Range
from fxpasses.quantization.recipe import SILENT, Run, Step, Steps, calibrated_graph
from fxpasses.quantization.repair_steps import RangeStep, steps_of, steps_on
from fxpasses.quantization.repair_table import Phase, settings_off
from fxpasses.quantization.repairs.observer_sweep import observed_by
from fxpasses.quantization.repairs.output_noise import is_by_error

from .units import Unit, find_units


@dataclass(frozen=True)
class Calibrated:
    """Result of :func:`calibrate_once`.

    Attributes:
        float_graph: FLOAT, with the same nodes as the graph that int8 graphs are made from.
        observed: OBSERVED, with an observer at every tensor.
        config: settings of the quantization.
        units: units that can be left in float, in order.
    """

    float_graph: fx.GraphModule
    observed: fx.GraphModule
    config: QuantConfig
    units: tuple[Unit, ...]

    def convert(self, *in_float: Unit) -> fx.GraphModule:
        """Return the QUANTIZED graph with these units in float.

        Raises:
            GraphError: see :func:`fxpasses.convert`.
        """
        return convert(self.observed, self.config_of(*in_float))

    def alone(self, unit: Unit) -> fx.GraphModule:
        """Return the QUANTIZED graph in which one unit is int8 and everything else float."""
        return self.convert(*(other for other in self.units if other is not unit))

    def config_of(self, *in_float: Unit) -> QuantConfig:
        """Return the settings that leave these units in float."""
        kept = tuple(override for unit in in_float for override in unit.keep_float)
        return replace(self.config, overrides=(*self.config.overrides, *kept))


def calibrate_once(
    gm: fx.GraphModule,
    config: QuantConfig,
    batches: Iterable[Any],
    progress: Callable[[int], None] | None = None,
    device: str = "cpu",
) -> Calibrated:
    """Observe a fused FLOAT graph with the settings ``config``, and calibrate it on a device.

    Raises:
        GraphError, InputError: see :func:`fxpasses.observe` and :func:`fxpasses.calibrate`.
    """
    observed = calibrated_graph(
        gm, batches, config, every_tensor=True, run=Run(_Advancing.of(progress), device=device)
    ).graph
    float_graph = without_observers(observed)
    _settle(observed, config, {name: observer.range for name, observer in _observers(observed).items()})
    return Calibrated(float_graph, observed, config, _units(float_graph, observed, config))


def _units(float_graph: fx.GraphModule, observed: fx.GraphModule, config: QuantConfig) -> tuple[Unit, ...]:
    """Units that run in int8 with these settings and the ranges found by calibration."""
    in_float = why_float_once_calibrated(observed, config)
    return tuple(unit for unit in find_units(float_graph, config) if unit.name not in in_float)


@dataclass(frozen=True)
class Distributions:
    """A calibration with a histogram of every tensor: the range of any observer can be computed from it.

    Attributes:
        first: the first samples, to measure which tensors cause most noise at the outputs.
    """

    float_graph: fx.GraphModule
    observed: fx.GraphModule
    first: Sequence[Any]

    def settle(self, config: QuantConfig) -> Calibrated:
        """Return the result that calibrating with ``config`` would give, bit for bit.

        Raises:
            InputError: an observer that depends on the split of the data into batches (``moving_average``).
        """
        plan = plan_quantization(self.float_graph, config)
        nodes = {node.name: plan.absorbed.get(node, node) for node in self.float_graph.graph.nodes}
        observed = copy_graph(self.observed)
        ranges = {
            name: _range_by(config.observer_of(self.float_graph, nodes[name]), observer)
            for name, observer in _observers(observed).items()
        }
        _settle(observed, config, ranges)
        graph_facts(observed).config = config
        specs = {name: config.observer_of(self.float_graph, node) for name, node in nodes.items()}
        for repair in steps_on(config, RangeStep).values():
            repair.run(observed, self.first, lambda name: is_by_error(specs[name].build()))
        return Calibrated(self.float_graph, observed, config, _units(self.float_graph, observed, config))


def shaping_overrides(config: QuantConfig) -> tuple[Override, ...]:
    """Overrides that change which nodes exist to be observed, and not only how these are quantized."""
    return tuple(o for o in config.overrides if o.keep_float and o.names_operator("silu"))


def measure_distributions(
    gm: fx.GraphModule,
    config: QuantConfig,
    batches: Iterable[Any],
    progress: Callable[[int], None] | None = None,
    device: str = "cpu",
) -> Distributions:
    """Calibrate a fused FLOAT graph once for all observers; the observers that ``config`` names are ignored.

    Raises:
        GraphError, InputError: see :func:`fxpasses.observe` and :func:`fxpasses.calibrate`.
    """
    neutral = replace(config, observer="histogram", overrides=shaping_overrides(config), **settings_off(Phase.RANGES))
    samples = max((step.samples for step in steps_of(RangeStep).values()), default=0)
    found = calibrated_graph(
        gm,
        batches,
        config,
        observe_as=neutral,
        every_tensor=True,
        samples=samples,
        run=Run(_Advancing.of(progress), device=device),
    )
    return Distributions(without_observers(found.graph), found.graph, found.first)


@dataclass(frozen=True)
class _Advancing:
    """Reports to a callback the number of samples processed."""

    advance: Callable[[int], None]

    @staticmethod
    def of(progress: Callable[[int], None] | None) -> Steps:
        return SILENT if progress is None else _Advancing(progress)

    def at(self, what: str, done: int, total: int) -> None: ...

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Step]:
        yield self


RangeOf = Callable[[IntType, bool], Range]


def _range_by(spec: ObserverSpec, source: Observer) -> RangeOf:
    """The range of one kind of observer, computed from the histogram of another one."""
    return observed_by(spec, source).range


def _observers(observed: fx.GraphModule) -> dict[str, Observer]:
    found = {}
    for name, node in find_observers(observed).items():
        observer = observed.get_submodule(str(node.target))
        assert isinstance(observer, Observer)
        found[name] = observer
    return found


class SettledObserver(Observer):
    """An observer with a fixed range. It replaces one that searches for its range, which takes most of a conversion's
    time.
    """

    def __init__(self, source: Observer, chosen: Range) -> None:
        super().__init__()
        self._observed, self._extremes, self._range = source.observed, source.extremes, chosen

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


def _settle(observed: fx.GraphModule, config: QuantConfig, ranges: Mapping[str, RangeOf]) -> None:
    target = config.for_target
    observers = _observers(observed)
    for name, node in find_observers(observed).items():
        chosen = ranges[name](config.activation_grid, target.symmetric_activations)
        observed.set_submodule(str(node.target), SettledObserver(observers[name], chosen))
