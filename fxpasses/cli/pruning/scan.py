"""``fxpasses sensitivity --method prune``: prune every layer alone and measure; parallel and resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from fxpasses.export.files import write_bytes_atomic, write_json_atomic, write_text_atomic
from fxpasses.graph.devices import usable_device
from fxpasses.sensitivity.pages.figures import as_png
from fxpasses.sensitivity.pages.prune_document import prune_document
from fxpasses.sensitivity.pages.prune_page import prune_page
from fxpasses.sensitivity.pages.prune_plots import lead_ratio, map_figure, ratio_figure
from fxpasses.sensitivity.pages.prune_table import print_prune
from fxpasses.sensitivity.prune import LayerScan, PruneChoice, check_ratios, prune_targets, score_pruned
from fxpasses.sensitivity.scoring import Score
from fxpasses.sensitivity.search.journal import Journal
from fxpasses.sensitivity.search.ratio_search import largest_ratio, largest_ratios

from ..folders.folder import DataChoice, ModelChoice
from ..given import default_threads
from ..jobs.evaluation_data import default_images
from ..jobs.journaled import answers
from ..jobs.parallel_jobs import threads_each
from ..jobs.sensitivity_pipeline import SENSITIVITY_HTML, SENSITIVITY_JSON, SENSITIVITY_PNG, frame
from ..jobs.subject import Subject, dense_scorer, loaded
from ..options.sensitivity import SensitivityOptions
from ..terminal import Terminal

HEATMAP_PNG = "heatmap.png"


@dataclass(frozen=True)
class PruneSettings:
    """Settings of ``--method prune``; see the options of the command."""

    ratios: tuple[float, ...]
    granularity: str
    criterion: str
    layers: tuple[str, ...]
    images: int | None
    threads: int | None
    workers: int
    backend: str
    journal: Path
    max_drop: float | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        usable_device(self.device)


def scan_settings(options: SensitivityOptions, journal: Path) -> PruneSettings:
    """Settings of ``--method prune`` from the options of the command."""
    return PruneSettings(
        ratios=numbers_of(options.ratios),
        granularity=options.granularity,
        criterion=options.criterion,
        layers=tuple(options.layers or ()),
        images=options.images,
        threads=options.threads,
        workers=options.workers,
        backend=options.backend,
        journal=journal,
        max_drop=options.max_drop,
        device=options.device,
    )


@dataclass(frozen=True)
class PruneJob:
    """One measurement: the score of this subject with these layers pruned by these ratios."""

    subject: Subject
    images: int
    ratios: tuple[tuple[str, float], ...]
    choice: PruneChoice

    @property
    def key(self) -> list[object]:
        """The job's key in the journal."""
        return [self.images, asdict(self.choice), [list(pair) for pair in self.ratios]]

    def do(self) -> dict[str, Any]:
        """Measure, in this process."""
        scorer = dense_scorer(self.subject, self.images)
        return asdict(score_pruned(loaded(self.subject).graph, scorer, dict(self.ratios), self.choice))


@dataclass(frozen=True)
class RatioJob:
    """One search: the largest common ratio of these layers that loses no more than a budget."""

    subject: Subject
    images: int
    layers: tuple[str, ...]
    choice: PruneChoice
    max_drop: float
    known: tuple[tuple[float, float], ...] = ()

    @property
    def key(self) -> list[object]:
        """The job's key in the journal."""
        return ["largest", self.images, asdict(self.choice), self.max_drop, list(self.layers)]

    def do(self) -> dict[str, Any]:
        """Search, in this process."""
        return largest_ratio(self._drop_at, self.max_drop, known=dict(self.known), noise=self._noise()).to_json()

    def _drop_at(self, ratio: float) -> float:
        scorer = dense_scorer(self.subject, self.images)
        score = score_pruned(loaded(self.subject).graph, scorer, dict.fromkeys(self.layers, ratio), self.choice)
        return scorer.float_score.quality - score.quality

    def _noise(self) -> float:
        return dense_scorer(self.subject, self.images).standard_error


def numbers_of(text: str) -> tuple[float, ...]:
    """``"0.1,0.5"`` as numbers; typer reports an error."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        hint = f"{text!r} is not a list of numbers such as 0.1,0.5,0.9"
        raise typer.BadParameter(hint, param_hint="--ratios") from None


def prune_into(
    folder: Path, model: ModelChoice, data: DataChoice, settings: PruneSettings, terminal: Terminal
) -> dict[str, Any]:
    """Measure every layer at every ratio, write the files, and return the document."""
    ratios = check_ratios(settings.ratios)
    choice = PruneChoice(settings.granularity, settings.criterion, model.seed)
    threads = threads_each(default_threads(settings.threads), settings.workers)
    subject = Subject(model, data, threads, settings.device)
    with terminal.step("load, capture, and run the dense model"):
        found = loaded(subject)
        images = default_images(found.data, settings.images)
        scorer = dense_scorer(subject, images)
    targets = prune_targets(found.graph, settings.layers or None, settings.granularity)
    scans = {target.path: LayerScan(target) for target in targets}
    jobs = [PruneJob(subject, images, ((path, ratio),), choice) for path in scans for ratio in ratios]
    journal = Journal(settings.journal, subject.about)
    for job, score in answers("prune", jobs, journal, settings.workers, settings.backend, terminal):
        ((path, ratio),) = job.ratios
        scans[path].scores[ratio] = Score(**score)
    drops = {path: scan.drops(scorer.float_score) for path, scan in scans.items()}
    kinds = {kind: tuple(t.path for t in targets if t.operator == kind) for kind in {t.operator: 0 for t in targets}}
    document = {
        **frame(found.given, None, None, terminal),
        **prune_document(scorer.float_score, list(scans.values()), choice, prune_targets(found.graph), scorer.metric),
        **_within_budget(subject, images, drops, kinds, choice, journal, settings, terminal),
    }
    _write(folder, document, terminal)
    print_prune(document, terminal.results)
    return document


def _within_budget(
    subject: Subject,
    images: int,
    drops: Mapping[str, Mapping[float, float]],
    kinds: Mapping[str, tuple[str, ...]],
    choice: PruneChoice,
    journal: Journal,
    settings: PruneSettings,
    terminal: Terminal,
) -> dict[str, Any]:
    """``within_budget`` of the document: the largest ratios for ``--max-drop``; empty without it.

    There is a ratio for each layer alone, one for all layers of an operator, and one for each layer of the whole net.
    """
    if settings.max_drop is None:
        return {}
    sets = {**{path: (path,) for path in drops}, **{kind: paths for kind, paths in kinds.items() if len(paths) > 1}}
    jobs = [RatioJob(subject, images, paths, choice, settings.max_drop, _scan(drops, paths)) for paths in sets.values()]
    answered = answers("largest ratios", jobs, journal, settings.workers, settings.backend, terminal)
    found = {job.layers: answer for job, answer in answered}
    with terminal.step("the whole net"):
        ratios, search = largest_ratios(
            drops,
            _drop_of(subject, images, choice),
            settings.max_drop,
            noise=dense_scorer(subject, images).standard_error,
        )
    return {
        "within_budget": {
            "max_drop": settings.max_drop,
            "layers": {path: found[(path,)] for path in drops},
            "operators": {kind: {"layers": list(paths), **found[paths]} for kind, paths in kinds.items()},
            "net": {"ratios": ratios, **search.to_json()},
        }
    }


def _scan(drops: Mapping[str, Mapping[float, float]], paths: tuple[str, ...]) -> tuple[tuple[float, float], ...]:
    return tuple(drops[paths[0]].items()) if len(paths) == 1 else ()


def _drop_of(subject: Subject, images: int, choice: PruneChoice) -> Callable[[Mapping[str, float]], float]:
    graph, scorer = loaded(subject).graph, dense_scorer(subject, images)

    def drop_of(ratios: Mapping[str, float]) -> float:
        score = score_pruned(graph, scorer, ratios, choice)
        return scorer.float_score.quality - score.quality

    return drop_of


def _write(folder: Path, document: dict[str, Any], terminal: Terminal) -> None:
    with terminal.step("draw"):
        write_json_atomic(folder / SENSITIVITY_JSON, document)
        write_text_atomic(folder / SENSITIVITY_HTML, prune_page(document))
        write_bytes_atomic(folder / SENSITIVITY_PNG, as_png(*ratio_figure(document, lead_ratio(document))))
        if len(document["ratios"]) > 1:
            write_bytes_atomic(folder / HEATMAP_PNG, as_png(*map_figure(document)))
