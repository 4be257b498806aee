"""``fxpasses sensitivity --method prune``: every layer pruned alone, in parallel and resumable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from fxpasses.export.files import write_bytes_atomic, write_json_atomic, write_text_atomic
from fxpasses.sensitivity.figures import as_png
from fxpasses.sensitivity.journal import Journal
from fxpasses.sensitivity.prune import LayerScan, PruneChoice, check_ratios, prune_targets, score_pruned
from fxpasses.sensitivity.prune_document import prune_document
from fxpasses.sensitivity.prune_page import prune_page
from fxpasses.sensitivity.prune_plots import lead_ratio, map_figure, ratio_figure
from fxpasses.sensitivity.prune_table import print_prune
from fxpasses.sensitivity.scoring import Score

from .folder import DataChoice, ModelChoice
from .parallel_jobs import results_of
from .pipeline import default_threads
from .sensitivity_pipeline import SENSITIVITY_HTML, SENSITIVITY_JSON, SENSITIVITY_PNG, frame
from .subject import Subject, dense_yardstick, loaded
from .terminal import Terminal

HEATMAP_PNG = "heatmap.png"


@dataclass(frozen=True)
class PruneSettings:
    """What ``--method prune`` scans; see the options of the command."""

    ratios: tuple[float, ...]
    granularity: str
    criterion: str
    layers: tuple[str, ...]
    images: int
    threads: int | None
    workers: int
    backend: str
    journal: Path


@dataclass(frozen=True)
class PruneJob:
    """One measurement: these shares of these layers, of this subject."""

    subject: Subject
    images: int
    ratios: tuple[tuple[str, float], ...]
    choice: PruneChoice

    @property
    def key(self) -> list[object]:
        """In the journal."""
        return [self.images, asdict(self.choice), [list(pair) for pair in self.ratios]]

    def score(self) -> Score:
        """Measure, in this process."""
        yardstick = dense_yardstick(self.subject, self.images)
        return score_pruned(loaded(self.subject).graph, yardstick, dict(self.ratios), self.choice)


def numbers_of(text: str) -> tuple[float, ...]:
    """``"0.1,0.5"`` as numbers; typer tells the error."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        hint = f"{text!r} is not a list of numbers such as 0.1,0.5,0.9"
        raise typer.BadParameter(hint, param_hint="--ratios") from None


def prune_into(
    folder: Path, model: ModelChoice, data: DataChoice, settings: PruneSettings, terminal: Terminal
) -> dict[str, Any]:
    """Scan, and write the files; returns the document."""
    ratios = check_ratios(settings.ratios)
    choice = PruneChoice(settings.granularity, settings.criterion, model.seed)
    threads = max(1, default_threads(settings.threads) // settings.workers)
    subject = Subject(model, data, threads)
    with terminal.step("load, capture, and run the dense model"):
        found, yardstick = loaded(subject), dense_yardstick(subject, settings.images)
    targets = prune_targets(found.graph, settings.layers or None)
    scans = {target.path: LayerScan(target) for target in targets}
    jobs = [PruneJob(subject, settings.images, ((path, ratio),), choice) for path in scans for ratio in ratios]
    for job, score in scored(jobs, settings, terminal):
        ((path, ratio),) = job.ratios
        scans[path].scores[ratio] = score
    document = {
        **frame(found.given, None, None, terminal),
        **prune_document(yardstick.float_score, list(scans.values()), choice),
    }
    _write(folder, document, terminal)
    print_prune(document, terminal.results)
    return document


def scored(jobs: list[PruneJob], settings: PruneSettings, terminal: Terminal) -> list[tuple[PruneJob, Score]]:
    """Every job with its score, from the journal where it is known."""
    journal = Journal(settings.journal, jobs[0].subject.about)
    found = [(job, Score(**known)) for job in jobs if (known := journal.get(job.key)) is not None]
    if found:
        terminal.remark(f"{len(found)} of {len(jobs)} measurements are taken from {journal.path}")
    missing = [job for job in jobs if journal.get(job.key) is None]
    with terminal.step("prune", len(jobs)) as step:
        step.advance(len(found))
        for job, score in results_of(PruneJob.score, missing, settings.workers, settings.backend):
            journal.put(job.key, asdict(score))
            found.append((job, score))
            step.at(", ".join(path for path, _ in job.ratios[:1]), len(found), len(jobs))
    return found


def _write(folder: Path, document: dict[str, Any], terminal: Terminal) -> None:
    with terminal.step("draw"):
        write_json_atomic(folder / SENSITIVITY_JSON, document)
        write_text_atomic(folder / SENSITIVITY_HTML, prune_page(document))
        write_bytes_atomic(folder / SENSITIVITY_PNG, as_png(*ratio_figure(document, lead_ratio(document))))
        if len(document["ratios"]) > 1:
            write_bytes_atomic(folder / HEATMAP_PNG, as_png(*map_figure(document)))
