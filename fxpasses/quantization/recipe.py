"""The order of static quantization: from a fused FLOAT graph and calibration data to a QUANTIZED graph.

    smooth, equalize, align pixels      the float model, rescaled so that int8 suits it
    rewrite                             what a caller changes of it: training puts bounds where fewer bits are read
    observe, calibrate or sweep         a range for every tensor that gets a grid
    narrow ranges                       where the outputs are better for it
    place                               operators that stay float because the caller measured so
    convert, re-estimate or learn       integers

The order stands here: :func:`fxpasses.quantize`, the command line, the sensitivity analysis and training call these
functions. Each step does nothing where the settings do not ask for it. Training takes the first half; what follows in
place of the second stands in :mod:`fxpasses.training`.
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
from .repairs import output_noise
from .repairs.equalization import equalized
from .repairs.observer_sweep import Engine, sweep_observers
from .repairs.output_noise import narrow_ranges
from .repairs.reestimation import reestimate
from .rounding import learned_rounding
from .rounding.learned_rounding import learn_rounding


class Step(Protocol):
    """A step that is being done."""

    def advance(self, count: int) -> None:
        """``count`` more samples are done."""

    def at(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` parts are, and ``what`` is being done now."""


class Steps(Protocol):
    """Who is told about steps: a terminal, say."""

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Step]:
        """A step begins; ``total`` samples will pass, 0 for an unknown number of parts."""


class _Silent:
    def advance(self, count: int) -> None: ...

    def at(self, what: str, done: int, total: int) -> None: ...

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Step]:
        yield self


SILENT: Steps = _Silent()
"""Tells nobody."""


@dataclass(frozen=True)
class Run:
    """How a recipe runs, whatever it makes.

    Attributes:
        steps: told about every step.
        images: how many samples there are, where that is known, for ``steps``.
        engine: runs int8 graphs of a sweep; None for the exact reference.
        device: that data is calibrated on; None for the CPU.
    """

    steps: Steps = SILENT
    images: int | None = None
    engine: Engine | None = None
    device: str | None = None


PLAINLY = Run()
"""Nobody is told, and a sweep runs in the exact reference."""

Place = Callable[[fx.GraphModule, QuantConfig], QuantConfig]
"""From a calibrated OBSERVED graph, with an observer at every tensor, and settings to settings that keep more float."""


Rewrite = Callable[[fx.GraphModule], tuple[fx.GraphModule, QuantConfig]]
"""From an equalized FLOAT graph to the one that is observed, and the settings to observe it with."""


@dataclass(frozen=True)
class CalibratedGraph:
    """An OBSERVED graph that has seen the data.

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
    """A QUANTIZED graph; and, where its rounding was learned, the one rounded to nearest, to be measured beside it."""

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
    """The first half: everything before integers.

    Args:
        graph: FLOAT, fused.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it.
        config: what will be quantized.
        observe_as: other settings to observe with, for callers that take other ranges from what was seen.
        rewrite: changes the equalized graph, and says what to observe it with.
        every_tensor: put an observer at every tensor that some choice of operators could put on a grid.
        samples: how many first samples to keep; None for what the second half needs.
        run: who is told, and what a sweep runs in.

    Raises:
        GraphError, InputError: as :func:`fxpasses.observe` and :func:`fxpasses.calibrate` say.
    """
    steps = run.steps
    with steps.step("equalize"):
        graph, batches = equalized(graph, batches, config)
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
    if config.narrow_ranges:
        with steps.step("narrow ranges"):
            narrow_ranges(observed, first)
    return CalibratedGraph(observed, config, first)


def quantize_graph(
    graph: fx.GraphModule,
    batches: Iterable[Any],
    config: QuantConfig,
    *,
    place: Place | None = None,
    keep_nearest: bool = False,
    run: Run = PLAINLY,
) -> Int8Graphs:
    """All of it: a fused FLOAT graph becomes a QUANTIZED one.

    Args:
        place: chooses operators that stay float once ranges are known.
        keep_nearest: where rounding is learned, convert with rounding to nearest, too.
        graph, batches, config, run: as for :func:`calibrated_graph`.

    Raises:
        GraphError, InputError: as :func:`calibrated_graph` and :func:`fxpasses.convert` say.
    """
    steps = run.steps
    found = calibrated_graph(graph, batches, config, every_tensor=place is not None, run=run)
    config = found.config if place is None else place(found.graph, found.config)
    if config.reestimation:
        with steps.step("convert and re-estimate"):
            return Int8Graphs(reestimate(found.graph, found.first, config))
    learns = config.rounding == "learned"
    nearest = None
    if keep_nearest or not learns:
        with steps.step("convert"):
            nearest = convert(found.graph, config)
    if not learns:
        assert nearest is not None
        return Int8Graphs(nearest)
    with steps.step("learn rounding", 0) as step:
        return Int8Graphs(learn_rounding(found.graph, found.first, config, progress=step.at), nearest)


def samples_kept(config: QuantConfig) -> int:
    """How many of the first calibration samples are needed once more behind calibration."""
    if config.rounding == "learned" or config.reestimation:
        return learned_rounding.SAMPLES
    return output_noise.SAMPLES if config.narrow_ranges else 0
