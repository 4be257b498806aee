"""Try several observers on one calibration and keep the one whose int8 outputs are nearest to float.

The best amount of clipping differs from net to net: ``histogram:1.75`` clips more than ``histogram``, which does not
harm one net and costs another more than a decibel (docs/lab_notes.md). Every histogram holds the whole distribution, so
the ranges of all observers follow from one run over the data.

Candidates are compared on the last samples, which neither the ranges nor equalization have used. On the samples used
for ranges clipping looks better than it is on new images. ``minmax`` is always a candidate, and ``histogram`` is kept
unless another is :data:`MARGIN_DB` nearer, so on these samples the result is never worse than both.

Sources: McKinstry et al. 2019, arXiv:1809.04191; Wu et al. 2020, "Integer Quantization for Deep Learning Inference",
arXiv:2004.09602 (percentiles, and the advice to try several).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from ...errors import InputError
from ...graph.edit import module_of
from ...graph.pass_runner import Change, PassLog, PassResult, copy_graph, pass_logs
from ...graph.stages import Stage, check_stage, config_of, graph_facts
from ...signature.outputs import tensors_of
from ...signature.samples import count_samples
from ..config import QuantConfig
from ..int8.convert import convert
from ..int8.observe import find_observers, without_observers
from ..ranges.calibration import calibrate, checked_batches, pieces
from ..ranges.first_samples import samples_of
from ..ranges.observer_spec import SWEEP, ObserverSpec, parse_observer
from ..ranges.observers import (
    EntropyObserver,
    HistogramObserver,
    MinMaxObserver,
    Observer,
    PercentileObserver,
    Sweeping,
)

CANDIDATES = (
    *("minmax", "percentile:99.9999", "percentile:99.999", "percentile:99.995", "percentile:99.99", "percentile:99.9"),
    *("histogram", "histogram:1.75", "histogram:1.5", "entropy"),
)
GUARD = "minmax"
DEFAULT = str(ObserverSpec())
MARGIN_DB = 0.5
"""Smallest advantage over the default; smaller differences depend on the samples.
"""
HELD_OUT = 64
"""Number of samples held out for the comparison; half of the samples if there are no more than this."""

Engine = Callable[[fx.GraphModule], Callable[..., Any]]
"""Function from a QUANTIZED graph to a callable that runs it."""


@dataclass(frozen=True)
class Sweep:
    """The result of a sweep.

    Attributes:
        chosen: the chosen observer, as :class:`QuantConfig` spells it.
        sqnr_db: SQNR of the outputs on the held-out samples, by observer; infinite if they equal those of float.
        samples: number of calibration samples, including the held-out ones.
        held_out: number of held-out samples.
    """

    chosen: str
    sqnr_db: dict[str, float]
    samples: int
    held_out: int


def sweep_observers(
    gm: fx.GraphModule,
    batches: Iterable[Any],
    candidates: Sequence[str] = CANDIDATES,
    progress: Callable[[int], None] | None = None,
    engine: Engine | None = None,
    device: str | None = None,
) -> Sweep:
    """Calibrate and choose the observer; use it instead of :func:`fxpasses.calibrate`.

    Observers are calibrated on the first samples and compared on the last ones, on which they are then calibrated, too.
    Observers that an override names for some tensors stay.

    Args:
        gm: an OBSERVED graph, observed with ``QuantConfig(observer="sweep")``. Its observers are replaced.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; at least two samples.
        candidates: observers to try; ``minmax`` and ``histogram`` are always tried.
        progress: as for :func:`fxpasses.calibrate`.
        device: that calibration runs on; None for the CPU.
        engine: runs int8 graphs during the comparison, for example :func:`fxpasses.export.to_torch` for speed; without
            it the graph itself runs.

    Raises:
        InputError: no tensor has ``observer="sweep"``, there are fewer than two samples, or the range of a candidate
            depends on the batches.
        GraphError: in the cases of :func:`fxpasses.calibrate` and :func:`fxpasses.convert`.
    """
    check_stage(gm, Stage.OBSERVED, "sweep_observers")
    waiting = _waiting(gm)
    specs = [parse_observer(name) for name in dict.fromkeys((*candidates, GUARD, DEFAULT))]
    held: deque[Any] = deque()
    samples = calibrate(gm, _all_but_last(batches, held), progress, device=device)
    compared = list(checked_batches(gm, held))
    sqnr_db = _sqnr_of_each(gm, specs, compared, engine or (lambda int8: int8))
    samples += calibrate(gm, held, progress, device=device)
    best = max(sqnr_db, key=lambda name: sqnr_db[name] + (MARGIN_DB if name == DEFAULT else 0.0))
    _observe_by(gm, parse_observer(best))
    ranked = sorted(sqnr_db.items(), key=lambda pair: -pair[1])
    figures = ", ".join(f"{name} {db:.1f}" for name, db in ranked)
    told = f"observed by {best}; SQNR of the outputs in dB: {figures}"
    pass_logs(gm).append(PassLog("sweep_observers", PassResult([Change(name, told) for name in waiting])))
    return Sweep(best, dict(ranked), samples, sum(count_samples(gm, inputs) for inputs in compared))


def _waiting(gm: fx.GraphModule) -> list[str]:
    """Names of the tensors whose observer still has to be chosen."""
    found = [name for name, node in find_observers(gm).items() if isinstance(module_of(gm, node, Observer), Sweeping)]
    if not found:
        raise InputError(
            "a sweep of observers",
            why="no tensor waits for one to be chosen",
            fix=f'observe with QuantConfig(observer="{SWEEP}")',
        )
    return found


def _all_but_last(batches: Iterable[Any], held: deque[Any]) -> Iterator[Any]:
    """The batches in order, without the last ones, which stay in ``held``: 64 samples or more, or half of all."""
    few = True
    for batch in batches:
        held.append(batch)
        while sum(map(samples_of, held)) - samples_of(held[0]) >= HELD_OUT:
            few = False
            yield held.popleft()
    if few and held:
        parts = _halves(held.pop()) if len(held) == 1 else [*held]
        held.clear()
        held.extend(parts[len(parts) // 2 :])
        yield from parts[: len(parts) // 2]


def _halves(batch: Any) -> list[Any]:
    inputs = batch if isinstance(batch, (tuple, list)) else (batch,)
    parts = [x.chunk(2) if isinstance(x, Tensor) and x.dim() else (x,) for x in inputs]
    if any(len(part) < 2 for part in parts):
        raise InputError(
            "calibration data for a sweep",
            why="one sample cannot both calibrate and compare",
            fix="pass more: 100 to 500 images do well",
        )
    return list(zip(*parts, strict=True))


def observed_by(spec: ObserverSpec, source: Observer) -> Observer:
    """The observer that ``spec`` would have become on the data of a histogram observer, bit for bit.

    Raises:
        InputError: the range of ``spec`` depends on the batches.
    """
    assert isinstance(source, HistogramObserver)
    wanted = spec.build()
    if isinstance(wanted, (HistogramObserver, PercentileObserver, EntropyObserver)):
        wanted.histogram = source.histogram
        return wanted
    if spec.name != GUARD:
        raise InputError(
            f"observer '{spec}' in a search",
            why="its range depends on how the data came in batches, and would have to be calibrated anew each time",
            fix="search with histogram, percentile, minmax or entropy",
        )
    return MinMaxObserver.of(source)


def _sqnr_of_each(
    gm: fx.GraphModule, specs: Sequence[ObserverSpec], compared: Sequence[tuple[Any, ...]], engine: Engine
) -> dict[str, float]:
    exact, found = without_observers(gm), {}
    run = [piece for inputs in compared for piece in pieces(exact, inputs)]
    with torch.inference_mode():
        expected = [_tensors(exact(*piece)) for piece in run]
    for spec in specs:
        trial = copy_graph(gm)
        _observe_by(trial, spec)
        int8 = engine(convert(trial))
        with torch.inference_mode():
            found[str(spec)] = _sqnr_db(expected, [_tensors(int8(*piece)) for piece in run])
    return found


def _observe_by(gm: fx.GraphModule, spec: ObserverSpec) -> None:
    """Replace the observers still to be chosen by this one, also in the settings."""
    for node in find_observers(gm).values():
        observer = module_of(gm, node, Observer)
        if isinstance(observer, Sweeping):
            gm.set_submodule(str(node.target), observed_by(spec, observer))
    config = config_of(gm)
    assert isinstance(config, QuantConfig)
    overrides = tuple(replace(o, observer=str(spec)) if o.observer == SWEEP else o for o in config.overrides)
    observer_of_all = str(spec) if config.observer == SWEEP else config.observer
    graph_facts(gm).config = replace(config, observer=observer_of_all, overrides=overrides)


def _tensors(outputs: Any) -> list[Tensor]:
    return [x for x in tensors_of(outputs) if x.is_floating_point()]


def _sqnr_db(expected: Sequence[Sequence[Tensor]], found: Sequence[Sequence[Tensor]]) -> float:
    signal = noise = 0.0
    for exact, int8 in zip(expected, found, strict=True):
        for x, y in zip(exact, int8, strict=True):
            signal += float(x.double().square().sum())
            noise += float((x.double() - y.double()).square().sum())
    return math.inf if noise == 0 else 10 * math.log10(max(signal, 1e-30) / noise)
