"""The measurements of an accuracy-aware search, as jobs that any process can do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache

from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.calibrated import Calibrated, Distributions, measure_distributions
from fxpasses.sensitivity.scoring import Score
from fxpasses.sensitivity.units import Unit

from .subject import Subject, fused_graph, fused_yardstick, loaded


@dataclass(frozen=True)
class Calibration:
    """Which images."""

    images: int
    seed: int


@dataclass(frozen=True)
class ScoreJob:
    """The score of one int8 model."""

    subject: Subject
    images: int
    calibration: Calibration
    config: QuantConfig
    in_float: tuple[Unit, ...]

    @property
    def key(self) -> list[object]:
        """In the journal."""
        return ["score", self.images, *_about(self), sorted(unit.name for unit in self.in_float)]

    def score(self) -> Score:
        """Measure, in this process."""
        int8 = calibrated(self.subject, self.calibration, self.config).convert(*self.in_float)
        return fused_yardstick(self.subject, self.images).score(to_torch(int8))


@dataclass(frozen=True)
class NoiseJob:
    """The score of the model in which one unit alone is int8."""

    subject: Subject
    images: int
    calibration: Calibration
    config: QuantConfig
    unit: Unit

    @property
    def key(self) -> list[object]:
        """In the journal."""
        return ["alone", self.images, *_about(self), self.unit.name]

    def score(self) -> Score:
        """Measure, in this process."""
        alone = calibrated(self.subject, self.calibration, self.config).alone(self.unit)
        return fused_yardstick(self.subject, self.images).score(alone)


SearchJob = ScoreJob | NoiseJob


def measured(job: SearchJob) -> Score:
    """Do a job."""
    return job.score()


def _about(job: SearchJob) -> list[object]:
    return [asdict(job.calibration), asdict(job.config)]


@lru_cache(maxsize=4)
def calibrated(subject: Subject, calibration: Calibration, config: QuantConfig) -> Calibrated:
    """Ready to convert with these settings; the data is run once for all that differ in ranges and rounding only."""
    neutral = replace(config, observer="histogram", weight_search="minmax", overrides=())
    return _distributions(subject, calibration, neutral).settle(config)


@lru_cache(maxsize=4)
def _distributions(subject: Subject, calibration: Calibration, config: QuantConfig) -> Distributions:
    batches = loaded(subject).data.calibration(calibration.images, seed=calibration.seed)
    return measure_distributions(fused_graph(subject), config, batches)
