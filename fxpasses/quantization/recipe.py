"""The steps of static quantization in order: from a fused FLOAT graph and calibration data to a QUANTIZED graph.

repairs of phase FLOAT          rescale the float model so that it suits int8: smooth, equalize, align pixels
rewrite                         the caller's own change: training adds clamps where fewer bits are read
observe, calibrate or sweep     measure a range for every tensor that becomes int8
repairs of phase RANGES         use narrower ranges where the outputs improve
place                           leave operators in float that the caller measured to be better there
convert, or a repair of phase   compute the integers: to nearest, re-estimated or learned
CONVERSION

The order of phases stands here, the order within a phase in :mod:`fxpasses.quantization.repair_table`, and both nowhere
else: :func:`fxpasses.quantize`, the command line, the sensitivity analysis and training call these functions. A step
that the settings do not ask for does nothing. Training uses the first half; its own second half is in
:mod:`fxpasses.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import fx

from ..graph.stages import config_of
from .config import QuantConfig
from .int8.convert import convert
from .int8.observe import observe
from .ranges.calibration import calibrate
from .ranges.first_samples import first_samples
from .repair_steps import ConversionStep, FloatStep, RangeStep, steps_on
from .repairs.observer_sweep import Engine, sweep_observers


class Step(Protocol):
    """A running step, which is told about its progress."""

    def advance(self, count: int) -> None:
        """Report that ``count`` more samples are done."""

    def at(self, what: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` parts are done, and that the part ``what`` is running."""


class Steps(Protocol):
    """A listener that is told about steps, for example a terminal."""

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Begin a step; ``total`` is the number of samples, or 0 for an unknown number of parts."""


class _Silent:
    def advance(self, count: int) -> None: ...

    def at(self, what: str, done: int, total: int) -> None: ...

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Step]:
        yield self


SILENT: Steps = _Silent()
"""A listener that ignores every report."""


@dataclass(frozen=True)
class Run:
    """Settings of how a recipe runs; they do not change its result, except for the engine of a sweep.

    Attributes:
        steps: told about every step.
        images: number of samples for ``steps``, if known.
        engine: runs int8 graphs of a sweep; None for the exact reference.
        device: that data is calibrated on; None for the CPU.
    """

    steps: Steps = SILENT
    images: int | None = None
    engine: Engine | None = None
    device: str | None = None


PLAINLY = Run()
"""The default: no listener, and a sweep runs in the exact reference."""

Place = Callable[[fx.GraphModule, QuantConfig], QuantConfig]
"""Function from a calibrated OBSERVED graph (an observer at every tensor) and settings to settings with more float."""


Rewrite = Callable[[fx.GraphModule], tuple[fx.GraphModule, QuantConfig]]
"""Function from an equalized FLOAT graph to the graph to observe and the settings to observe it with."""


@dataclass(frozen=True)
class CalibratedGraph:
    """An OBSERVED graph that has been calibrated.

    Attributes:
        graph: OBSERVED.
        config: the settings, with the observers that a sweep has found.
        first: the first samples, as many as later steps need.
    """

    graph: fx.GraphModule
    config: QuantConfig
    first: Sequence[Any]


@dataclass(frozen=True)
class Int8Graphs:
    """A QUANTIZED graph; with learned rounding also the graph rounded to nearest, for comparison."""

    graph: fx.GraphModule
    nearest: fx.GraphModule | None = None


def calibrated_graph(
    graph: fx.GraphModule,
    batches: Iterable[Any],
    config: QuantConfig,
    *,
    observe_as: QuantConfig | None = None,
    rewrite: Rewrite | None = None,
    every_tensor: bool = False,
    samples: int | None = None,
    run: Run = PLAINLY,
) -> CalibratedGraph:
    """Run the first half of the recipe: all steps before integers are computed.

    Args:
        graph: FLOAT, fused.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it.
        config: settings of the quantization.
        observe_as: other settings to observe with, for callers that compute other ranges from the same data.
        rewrite: changes the equalized graph, and returns the settings to observe it with.
        every_tensor: put an observer at every tensor that could become int8 with other choices of operators.
        samples: number of first samples to keep; None for the number that the second half needs.
        run: the listener, and the engine of a sweep.

    Raises:
        GraphError, InputError: in the same cases as :func:`fxpasses.observe` and :func:`fxpasses.calibrate`.
    """
    steps = run.steps
    with steps.step("equalize"):
        graph, batches = repaired(graph, batches, config)
    config = observe_as or config
    if rewrite is not None:
        graph, config = rewrite(graph)
    observed = observe(graph, config, every_tensor=every_tensor)
    first, batches = first_samples(batches, samples_kept(config) if samples is None else samples)
    with steps.step("calibrate", run.images) as step:
        if config.sweeps:
            sweep_observers(observed, batches, progress=step.advance, engine=run.engine, device=run.device)
            config = config_of(observed)
        else:
            calibrate(observed, batches, step.advance, device=run.device)
    for name, repair in steps_on(config, RangeStep).items():
        with steps.step(name):
            repair.run(observed, first, None)
    return CalibratedGraph(observed, config, first)


def repaired(gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig) -> tuple[fx.GraphModule, Iterable[Any]]:
    """Run the repairs of the FLOAT graph that the settings ask for; return the graph, and all batches.

    Args:
        batches: may be an iterator; batches used here are kept for calibration.
    """
    repairs = steps_on(config, FloatStep).values()
    if not repairs:
        return gm, batches
    first, batches = first_samples(batches, max(repair.samples for repair in repairs))
    for repair in repairs:
        gm = repair.run(gm, first, config)
    return gm, batches


def quantize_graph(
    graph: fx.GraphModule,
    batches: Iterable[Any],
    config: QuantConfig,
    *,
    place: Place | None = None,
    keep_nearest: bool = False,
    run: Run = PLAINLY,
) -> Int8Graphs:
    """Run the whole recipe: a fused FLOAT graph becomes a QUANTIZED one.

    Args:
        place: chooses operators that stay float once ranges are known.
        keep_nearest: with learned rounding, convert with rounding to nearest as well.
        graph, batches, config, run: as for :func:`calibrated_graph`.

    Raises:
        GraphError, InputError: in the same cases as :func:`calibrated_graph` and :func:`fxpasses.convert`.
    """
    steps = run.steps
    found = calibrated_graph(graph, batches, config, every_tensor=place is not None, run=run)
    config = found.config if place is None else place(found.graph, found.config)
    conversions, nearest = list(steps_on(config, ConversionStep).values()), None
    if not conversions or (keep_nearest and conversions[0].is_compared):
        with steps.step("convert"):
            nearest = convert(found.graph, config)
    if not conversions:
        assert nearest is not None
        return Int8Graphs(nearest)
    (conversion,) = conversions
    with steps.step(conversion.name, conversion.parts) as step:
        return Int8Graphs(conversion.run(found.graph, found.first, config, step.at), nearest)


def samples_kept(config: QuantConfig) -> int:
    """Number of first calibration samples that steps after calibration need again."""
    later: list[RangeStep | ConversionStep] = [
        *steps_on(config, RangeStep).values(),
        *steps_on(config, ConversionStep).values(),
    ]
    return max((step.samples for step in later), default=0)
