"""Searches for the cheapest int8 model that keeps accuracy: its observer, its repairs, and the layers that stay float.

1. Every observer is tried, then every repair with the best observer, all layers in int8. None of these costs time at
   inference, so the one with most SQNR is taken.
2. If it loses too much, layers go back to float, first those that add most noise to the logits when each is alone in
   int8. Their number is found by bisection.
3. Layers that need not stay float become int8 again, the least noisy first: the noise of a layer alone does not show
   errors that several layers have in common.
4. Among the models that keep accuracy the fastest is chosen, by measured latency. Models with the same layers in float
   have the same latency; it is measured once.

Nothing is retrained, and nothing is estimated: a model is accepted if its measured accuracy is within the budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from fxpasses.errors import InputError
from fxpasses.measure.metrics import POINTS, amount_text
from fxpasses.quantization.config import QuantConfig

from ..scoring import Score
from ..units import Unit

ROUNDING = 1e-9
DEFAULT_OBSERVERS = ("histogram", "percentile:99.999", "percentile:99.99", "minmax", "entropy")
DEFAULT_REPAIRS: tuple[dict[str, Any], ...] = (
    {"weight_search": "mse"},
    {"equalization": False},
    {"bias_correction": False},
)
"""Changes of the settings to try. They turn off repairs that are on by default, because on some nets a repair does
harm. A repair that the caller turned off stays off.
"""


@dataclass(frozen=True)
class Latency:
    """Latency of the int8 file in onnxruntime: median milliseconds, and paired speedup over float32."""

    ms: float
    speedup: float


@dataclass(frozen=True)
class Goal:
    """Goal of a search.

    Attributes:
        max_drop: largest loss of the metric; without one, points of top-1, or of agreement with float if there are no
            labels.
        observers: observers to try, beside that of the settings given.
        repairs: changes of the settings to try, one after the other; a change is kept if it helps.
        most_returns: largest number of layers to try to make int8 again.
        unit: unit of ``max_drop``.
    """

    max_drop: float
    observers: tuple[str, ...] = DEFAULT_OBSERVERS
    repairs: tuple[dict[str, Any], ...] = DEFAULT_REPAIRS
    most_returns: int = 12
    unit: str = POINTS

    def __post_init__(self) -> None:
        if self.max_drop < 0 or (self.unit == POINTS and self.max_drop >= 100):
            most = " to below 100" if self.unit == POINTS else ""
            raise InputError(
                f"max_drop {self.max_drop}", why=f"it is in {self.unit} of accuracy, from 0{most}", fix="give 0.2 or so"
            )


@dataclass
class Trial:
    """One int8 model that was tried, and its measurements.

    Attributes:
        what: description in a few words.
        config: settings without the overrides of ``in_float``.
        in_float: units left in float.
        drop: points lost against float.
    """

    what: str
    config: QuantConfig
    in_float: tuple[Unit, ...]
    score: Score
    drop: float
    holds: bool
    latency: Latency | None = None

    @property
    def uncertainty(self) -> float | None:
        """Upper limit of the standard error of ``drop`` in points (McNemar), from the share of images that changed
        class.
        """
        agreement = self.score.top1_agreement
        return None if agreement is None else 100 * math.sqrt((1 - agreement / 100) / self.score.images)

    @property
    def settings(self) -> QuantConfig:
        """Settings that make this model."""
        kept = tuple(override for unit in self.in_float for override in unit.keep_float)
        return replace(self.config, overrides=(*self.config.overrides, *kept))

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "observer": self.config.observer,
            "in_float": [unit.label for unit in self.in_float],
            "score": self.score.to_json(),
            "drop": self.drop,
            "drop_uncertainty": self.uncertainty,
            "holds": self.holds,
            "latency_ms": self.latency.ms if self.latency else None,
            "speedup_vs_fp32": self.latency.speedup if self.latency else None,
        }


class Measure(Protocol):
    """Measurements that a search needs; each list may be measured in parallel."""

    @property
    def width(self) -> int:
        """Number of models measured at a time."""

    def scores(self, choices: Sequence[tuple[QuantConfig, tuple[Unit, ...]]]) -> list[Score]:
        """Scores of int8 models with these settings and units in float."""

    def noise(self, config: QuantConfig, units: Sequence[Unit]) -> list[float]:
        """Noise-to-signal ratio at the logits when each unit alone is int8."""

    def latency(self, trial: Trial) -> Latency: ...


@dataclass
class Search:
    """A search and its trials; :meth:`run` returns the chosen one."""

    float_score: Score
    units: tuple[Unit, ...]
    measure: Measure
    goal: Goal
    tell: Callable[[str], None] = lambda _: None
    trials: list[Trial] = field(default_factory=list)

    def run(self, config: QuantConfig) -> Trial:
        """Search, starting from these settings.

        Raises:
            InputError: no choice with at least one layer in int8 keeps accuracy.
        """
        best = self._best_settings(config)
        if not best.holds:
            self._find_float_layers(best.config)
        if not any(trial.holds for trial in self.trials):
            closest = min(self.trials, key=lambda trial: trial.drop)
            raise InputError(
                f"no int8 model within {self.goal.max_drop:g} {self.goal.unit} of float",
                why=f"the best loses {amount_text(closest.drop, self.goal.unit)}: {closest.what}",
                fix=f"allow more, `max_drop={_enough(closest.drop)}`; or keep float32, or take fp16",
            )
        return self._fastest()

    def _best_settings(self, config: QuantConfig) -> Trial:
        observers = tuple(dict.fromkeys((config.observer, *self.goal.observers)))
        tried = self._try([(f"observer {name}", replace(config, observer=name), ()) for name in observers], "observers")
        best = max(tried, key=_merit)
        for change in self.goal.repairs:
            if all(getattr(best.config, name, value) == value for name, value in change.items()):
                continue
            words = ", ".join(f"{name} {value}" for name, value in change.items())
            what = f"{best.what}, {words}"
            best = max([best, *self._try([(what, replace(best.config, **change), ())], "repairs")], key=_merit)
        return best

    def _find_float_layers(self, config: QuantConfig) -> None:
        """Bisect the number of noisiest units in float, then make units int8 again that need not stay float."""
        self.tell("sensitivity of each layer")
        noise = self.measure.noise(config, self.units)
        ranked = [unit for _, unit in sorted(zip(noise, self.units, strict=True), key=lambda pair: -pair[0])]
        found = self._fewest(config, ranked)
        if found is not None:
            self._give_back(found)

    def _fewest(self, config: QuantConfig, ranked: Sequence[Unit]) -> Trial | None:
        """Smallest number of the noisiest units in float that holds, if accuracy rises with their number."""
        low, high, found = 0, len(ranked), None
        counts = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n < high]
        width = max(1, self.measure.width)
        while counts and found is None:
            for trial, count in zip(self._counts(config, ranked, counts[:width]), counts[:width], strict=True):
                if trial.holds:
                    found, high = trial, count
                    break
                low = count
            counts = counts[width:]
        while high - low > 1:
            step = max(1, (high - low) // (width + 1))
            probes = list(range(low + step, high, step))[:width]
            for trial, count in zip(self._counts(config, ranked, probes), probes, strict=True):
                if trial.holds:
                    found, high = trial, count
                    break
                low = count
        return found

    def _counts(self, config: QuantConfig, ranked: Sequence[Unit], counts: Sequence[int]) -> list[Trial]:
        return self._try(
            [(f"the {count} noisiest in float", config, tuple(ranked[:count])) for count in counts], "layers in float"
        )

    def _give_back(self, found: Trial) -> None:
        kept = found.in_float
        for unit in list(reversed(kept))[: self.goal.most_returns]:
            rest = tuple(other for other in kept if other is not unit)
            if not rest:
                break
            (trial,) = self._try(
                [(f"{len(rest)} in float, {unit.label} back in int8", found.config, rest)], "giving back"
            )
            if trial.holds:
                kept = rest

    def _fastest(self) -> Trial:
        """Return the fastest trial that holds; among equally fast ones, the one with the highest SQNR.

        Latency is measured once for each set of layers in float: first all in int8, for comparison, then the smallest
        sets.
        """
        sets = sorted({t.in_float: None for t in self.trials if t.holds or not t.in_float}, key=len)[:MOST_TIMED]
        for number, in_float in enumerate(sets, 1):
            self.tell(f"latency {number} of {len(sets)}")
            same = [trial for trial in self.trials if trial.in_float == in_float]
            latency = self.measure.latency(same[0])
            for trial in same:
                trial.latency = latency
        timed = [(trial.latency.speedup, trial) for trial in self.trials if trial.holds and trial.latency is not None]
        quickest = max(speedup for speedup, _ in timed)
        return max((trial for speedup, trial in timed if speedup >= quickest * (1 - SAME_SPEED)), key=_merit)

    def _try(self, choices: Sequence[tuple[str, QuantConfig, tuple[Unit, ...]]], stage: str) -> list[Trial]:
        self.tell(stage)
        scores = self.measure.scores([(config, in_float) for _, config, in_float in choices])
        tried = []
        for (what, config, in_float), score in zip(choices, scores, strict=True):
            drop = self.float_score.quality - score.quality
            tried.append(Trial(what, config, in_float, score, drop, drop <= self.goal.max_drop + ROUNDING))
        self.trials += tried
        return tried


def _enough(drop: float) -> str:
    """Round up to few digits."""
    digits = 2 if drop >= 1 else 2 - math.floor(math.log10(drop)) if drop > 0 else 2
    return f"{math.ceil(drop * 10**digits) / 10**digits:.{digits}f}"


MOST_TIMED = 6
"""Largest number of sets of layers whose latency is measured."""
SAME_SPEED = 0.02
"""Relative difference up to which two speedups count as equal; SQNR then decides."""


def _merit(trial: Trial) -> tuple[bool, float]:
    """Sort key: within the budget first, then by SQNR, which changes also if accuracy on few images does not."""
    return trial.holds, float("inf") if trial.score.sqnr_db is None else trial.score.sqnr_db
