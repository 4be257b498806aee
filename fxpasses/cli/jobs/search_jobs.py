"""The measurements of an accuracy-aware search, as jobs that any process can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.ranges.observer_spec import parse_observer
from fxpasses.sensitivity.calibrated import (
    Calibrated,
    Distributions,
    calibrate_once,
    measure_distributions,
    shaping_overrides,
)
from fxpasses.sensitivity.quant import LayerSensitivity, WeightError, layer_sensitivity
from fxpasses.sensitivity.scoring import Score, Scorer
from fxpasses.sensitivity.units import Unit

from .subject import Subject, fused_graph, fused_scorer, loaded


@dataclass(frozen=True)
class Calibration:
    """Choice of the calibration images: how many, and the shuffling seed."""

    images: int
    seed: int


@dataclass(frozen=True)
class Int8Job:
    """A measurement on ``images`` images of the model with this calibration and these settings."""

    subject: Subject
    images: int
    calibration: Calibration
    config: QuantConfig

    def key_of(self, kind: str, about: object) -> list[object]:
        """The job's key in the journal."""
        return [kind, self.images, asdict(self.calibration), asdict(self.config), about]

    @property
    def ready(self) -> Calibrated:
        """The calibrated model, in this process."""
        return calibrated(self.subject, self.calibration, self.config)

    @property
    def scorer(self) -> Scorer:
        """The float model and its images, in this process."""
        return fused_scorer(self.subject, self.images)


@dataclass(frozen=True)
class ScoreJob(Int8Job):
    """The score of one int8 model."""

    in_float: tuple[Unit, ...]

    @property
    def key(self) -> list[object]:
        """The job's key in the journal."""
        return self.key_of("score", sorted(unit.name for unit in self.in_float))

    def do(self) -> dict[str, Any]:
        """Measure the score, in this process."""
        return self.scorer.score(self.scorer.lowered(self.ready.convert(*self.in_float))).to_json()


@dataclass(frozen=True)
class NoiseJob(Int8Job):
    """The score of the model in which one unit alone is int8."""

    unit: Unit

    @property
    def key(self) -> list[object]:
        """The job's key in the journal."""
        return self.key_of("alone", self.unit.name)

    def do(self) -> dict[str, Any]:
        """Measure the score, in this process."""
        return self.scorer.score(self.scorer.placed(self.ready.alone(self.unit))).to_json()


@dataclass(frozen=True)
class LayerJob(Int8Job):
    """The cost of int8 at one unit: its score when it alone is int8, and when it alone stays float."""

    unit: Unit

    @property
    def key(self) -> list[object]:
        """The job's key in the journal."""
        return self.key_of("layer", self.unit.name)

    def do(self) -> dict[str, Any]:
        """Measure, in this process; see :meth:`read`."""
        return asdict(layer_sensitivity(self.ready, self.scorer, self.unit))

    def read(self, answer: Mapping[str, Any]) -> LayerSensitivity:
        """Rebuild the result of :meth:`do` from the journal's entry."""
        weight = answer["weight"]
        return LayerSensitivity(
            self.unit,
            Score(**answer["alone"]),
            Score(**answer["kept_float"]),
            answer["alone_at_node_db"],
            None if weight is None else WeightError(**weight),
        )


SearchJob = ScoreJob | NoiseJob


def _observers(config: QuantConfig) -> list[str]:
    return [config.observer, *(override.observer for override in config.overrides if override.observer)]


@lru_cache(maxsize=4)
def calibrated(subject: Subject, calibration: Calibration, config: QuantConfig) -> Calibrated:
    """Calibrate for these settings, ready to convert. Settings that differ only in ranges and rounding share one run
    over the data.
    """
    if any(parse_observer(name).name == "moving_average" for name in _observers(config)):
        data = loaded(subject).data
        batches = data.calibration(calibration.images, seed=calibration.seed)
        return calibrate_once(fused_graph(subject), config, batches, device=subject.device)
    neutral = replace(config, observer="histogram", weight_search="minmax", overrides=shaping_overrides(config))
    return _distributions(subject, calibration, neutral).settle(config)


@lru_cache(maxsize=4)
def _distributions(subject: Subject, calibration: Calibration, config: QuantConfig) -> Distributions:
    batches = loaded(subject).data.calibration(calibration.images, seed=calibration.seed)
    return measure_distributions(fused_graph(subject), config, batches, device=subject.device)
