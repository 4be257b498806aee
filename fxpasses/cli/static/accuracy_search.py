"""``fxpasses quantize --max-drop``: search for settings, and pass them to the ordinary pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fxpasses.export.files import write_bytes_atomic, write_json_atomic
from fxpasses.export.onnx_writer.optimizer import optimize_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.measure.benchmark import BenchSettings, benchmark
from fxpasses.measure.metrics import Metric, amount_text
from fxpasses.measure.runners import onnx_runner
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.pages.figures import as_png
from fxpasses.sensitivity.pages.pareto_plot import pareto_figure
from fxpasses.sensitivity.scoring import Score
from fxpasses.sensitivity.search.accuracy_search import DEFAULT_REPAIRS, Goal, Latency, Search, Trial
from fxpasses.sensitivity.search.journal import Journal
from fxpasses.sensitivity.units import Unit

from ..jobs.journaled import done
from ..jobs.parallel_jobs import results_of
from ..jobs.search_jobs import Calibration, NoiseJob, ScoreJob, SearchJob, calibrated
from ..jobs.subject import Subject, fused_graph, fused_scorer, loaded
from ..terminal import Step, Terminal

SEARCH_JSON = "search.json"
PARETO_PNG = "pareto.png"
NOISE_IMAGES = 128
"""Largest number of images to rank layers on. The ranking only orders candidates; they are measured on all images."""
_BENCH = BenchSettings(runs=60, max_seconds=12.0)
_FLOAT, _INT8 = "onnxruntime fp32", "onnxruntime int8"


@dataclass(frozen=True)
class SearchSettings:
    """Settings of the search itself; the quantization settings it starts from are separate."""

    max_drop: float
    images: int
    calibration: Calibration
    workers: int
    backend: str
    journal: Path


@dataclass
class _Measurements:
    """Measurements for a search, from the journal if they are there."""

    subject: Subject
    settings: SearchSettings
    journal: Journal
    folder: Path
    step: Step
    remembered: int = 0
    done: int = 0
    float_path: Path | None = None

    @property
    def width(self) -> int:
        return self.settings.workers

    def scores(self, choices: Sequence[tuple[QuantConfig, tuple[Unit, ...]]]) -> list[Score]:
        images, calibration = self.settings.images, self.settings.calibration
        return self._answers([ScoreJob(self.subject, images, calibration, c, u) for c, u in choices])

    def noise(self, config: QuantConfig, units: Sequence[Unit]) -> list[float]:
        images, calibration = min(self.settings.images, NOISE_IMAGES), self.settings.calibration
        scores = self._answers([NoiseJob(self.subject, images, calibration, config, unit) for unit in units])
        return [0.0 if score.sqnr_db is None else 10 ** (-score.sqnr_db / 10) for score in scores]

    def latency(self, trial: Trial) -> Latency:
        key = ["latency", trial.config.target, sorted(unit.name for unit in trial.in_float), self.subject.threads]
        known = self.journal.get(key)
        if known is None:
            known = asdict(self._timed(trial))
            self.journal.put(key, known)
        return Latency(**known)

    def _answers(self, jobs: Sequence[SearchJob]) -> list[Score]:
        missing = [job for job in jobs if self.journal.get(job.key) is None]
        self.remembered += len(jobs) - len(missing)
        for job, score in results_of(done, missing, self.settings.workers, self.settings.backend):
            self.journal.put(job.key, score)
            self.done += 1
            self.step.at(f"{self.done} measured", self.done, 0)
        return [Score(**self.journal.get(job.key) or {}) for job in jobs]

    def _timed(self, trial: Trial) -> Latency:
        """Median latency of the int8 file in onnxruntime, timed in turns with the float file."""
        found = loaded(self.subject)
        if self.float_path is None:
            self.float_path = to_onnx(fused_graph(self.subject), self.folder / "fp32.onnx")
            optimize_onnx(self.float_path, self.float_path, "onnxruntime")
        int8 = calibrated(self.subject, self.settings.calibration, trial.config).convert(*trial.in_float)
        path = to_onnx(int8, self.folder / "int8.onnx", verify=False)
        runners = [onnx_runner(self.float_path, "fp32", name=_FLOAT), onnx_runner(path, "int8", name=_INT8)]
        result = benchmark(runners, found.model.example_inputs, _BENCH)
        (entry,) = result.latency(_INT8)
        return Latency(float(str(entry["p50_ms"])), result.ratio(_FLOAT, _INT8).median)


def search_into(
    folder: Path, subject: Subject, config: QuantConfig, settings: SearchSettings, terminal: Terminal
) -> Trial:
    """Search, write search.json and pareto.png, and return the choice.

    Raises:
        InputError: no int8 model keeps accuracy.
    """
    with terminal.step("load, capture, and run the float model"):
        scorer = fused_scorer(subject, settings.images)
        units = calibrated_units(subject, settings, config)
    journal = Journal(settings.journal, subject.about)
    goal = Goal(settings.max_drop, repairs=repairs(), unit=scorer.what_is_lost)
    with tempfile.TemporaryDirectory() as temporary, terminal.step("search", 0) as step:
        asked = _Measurements(subject, settings, journal, Path(temporary), step)
        search = Search(scorer.float_score, units, asked, goal, lambda what: step.at(what, asked.done, 0))
        try:
            chosen = search.run(config)
        finally:
            if asked.remembered:
                terminal.remark(f"{asked.remembered} measurements are taken from {settings.journal}")
    document = search_document(search, chosen, settings, scorer.metric)
    write_json_atomic(folder / SEARCH_JSON, document)
    write_bytes_atomic(folder / PARETO_PNG, as_png(*pareto_figure(document)))
    for line in outcome_lines(search, chosen):
        terminal.results.print(line, markup=False)
    return chosen


def outcome_lines(search: Search, chosen: Trial) -> list[str]:
    """Lines for the terminal: the model found, and how certain the result is."""
    layers = (
        f"{len(chosen.in_float)} of {len(search.units)} layers in float" if chosen.in_float else "all layers in int8"
    )
    speed = "" if chosen.latency is None else f", {chosen.latency.speedup:.2f} times as fast as float32 in onnxruntime"
    lines = [f"search  {len(search.trials)} models measured; the fastest that holds: {chosen.what}: {layers}{speed}"]
    images, unsure = chosen.score.images, chosen.uncertainty
    if chosen.latency is not None and chosen.latency.speedup < 1:
        lines.append("note    float32 is faster than every int8 model that holds: keep it")
    if unsure is not None and unsure > search.goal.max_drop and chosen.score.metric is None:
        lines.append(
            f"note    the drop of {amount_text(chosen.drop, search.goal.unit)} is known to ±{unsure:.2f} from "
            f"{images} images; --eval takes more"
        )
    return lines


def calibrated_units(subject: Subject, settings: SearchSettings, config: QuantConfig) -> tuple[Unit, ...]:
    """Units that can stay in float."""
    return calibrated(subject, settings.calibration, config).units


def repairs() -> tuple[dict[str, Any], ...]:
    """Repairs that this version has, each a change of the settings."""
    known = {f.name for f in fields(QuantConfig)}
    return tuple(change for change in DEFAULT_REPAIRS if set(change) <= known)


def search_document(
    search: Search, chosen: Trial, settings: SearchSettings, metric: Metric | None = None
) -> dict[str, Any]:
    """search.json: the budget, the float score, and every trial."""
    by_default = "top-1" if search.float_score.top1 is not None else "agreement with float32"
    return {
        "max_drop": settings.max_drop,
        "images": search.float_score.images,
        "fp32": search.float_score.to_json(),
        "measured": by_default if metric is None else metric.title,
        "unit": "%" if metric is None else metric.unit,
        "trials": [trial.to_json() | {"chosen": trial is chosen} for trial in search.trials],
    }
