"""Turns a captured graph into a pruned one: the first half of ``fxpasses prune``, before it measures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from fxpasses.errors import InputError
from fxpasses.measure.metrics import Metric
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.users.user_batches import samples_of
from fxpasses.passes.fusion import fuse
from fxpasses.pruning.channels.brain_surgeon import SURGEON
from fxpasses.pruning.channels.budget import Budget
from fxpasses.pruning.channels.by_criterion import ChannelChoice, criterion_scores
from fxpasses.pruning.channels.channel_plan import Removal
from fxpasses.pruning.channels.compensation import compensate
from fxpasses.pruning.channels.kernel_multiples import in_largest_multiples
from fxpasses.pruning.channels.shrinking import shrink
from fxpasses.pruning.dependencies.groups import Dependencies, find_dependencies
from fxpasses.pruning.masks.criteria import WITH_DATA
from fxpasses.pruning.masks.data_criteria import ScoringData
from fxpasses.pruning.masks.masks import Masks, apply_masks
from fxpasses.pruning.masks.patterns import parse_pattern
from fxpasses.pruning.masks.schedules import Schedule, schedule_ratios
from fxpasses.pruning.masks.selection import Scope, make_masks

from ..jobs.task_losses import loss_for
from ..jobs.training_data import training_batches
from ..terminal import Terminal

if TYPE_CHECKING:
    from ..given import Input

SCORING_BATCH = 32
SCORING_BATCHES = 16
MOMENT_IMAGES = 512
CHANNEL = "channel"


@dataclass(frozen=True)
class Pruning:
    """Settings of a pruning and of the recovery after it (:mod:`.recovery`).

    Attributes:
        ratio: the share of channels or weights to prune; None with a budget, or with an N:M pattern.
        budget: the share that may be left; channels only.
        criterion, granularity, layers, scope: as for :func:`fxpasses.pruning.make_masks`.
        round_to: channel counts become multiples of it.
        finer: whether counts may become multiples of a half, a quarter and so on of it, if else nothing can be removed.
        keep_joined: whether channels stay that several layers share, as those of residual streams.
        through_layer_norm: whether channels that a LayerNorm normalises over may be removed.
        compensate: whether the weights left are adjusted to replace those removed.
        schedule: growth of the ratio of masks from epoch to epoch.
        epochs: number of epochs of fine-tuning.
        learning_rate: its value at the start.
        distill: whether to train on the outputs of the dense model, too.
        augment: whether to mirror and shift images.
        bf16: whether to train with products of bfloat16.
        keep_statistics: whether BatchNorm statistics stay as they are; accuracy was measured with them.

    Raises:
        InputError: settings that contradict each other.
    """

    ratio: float | None = None
    budget: Budget | None = None
    criterion: str = "l1"
    granularity: str = CHANNEL
    layers: tuple[str, ...] | None = None
    scope: Scope = "layer"
    round_to: int = 1
    finer: bool = False
    keep_joined: bool = False
    through_layer_norm: bool = False
    compensate: bool = True
    schedule: Schedule = "one-shot"
    epochs: int = 0
    learning_rate: float = 0.01
    distill: bool = False
    augment: bool = False
    bf16: bool = False
    keep_statistics: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget is not None and (self.ratio is not None or not self.is_structured):
            what = "a ratio" if self.ratio is not None else f"granularity {self.granularity!r}"
            raise InputError(
                f"a budget with {what}",
                why="a budget is met by removing whole channels, as many as it takes",
                fix="drop one of them",
            )
        if self.ratio is None and self.budget is None and parse_pattern(self.granularity) is None:
            raise InputError(
                "neither a ratio nor a budget", why="nothing says how much to prune", fix="give --ratio 0.3 or the like"
            )
        if self.criterion == SURGEON and not self.is_structured:
            raise InputError(f"criterion {SURGEON!r}", why="it scores channels only", fix="use --granularity channel")
        if self.schedule != "one-shot" and (self.is_structured or self.ratio is None or self.epochs < 2):
            raise InputError(
                f"schedule {self.schedule!r}",
                why="it raises the ratio of masks from epoch to epoch of fine-tuning",
                fix="give --ratio, --fine-tune 2 or more, and --granularity weight or block:4x1",
            )
        if self.epochs < 0:
            raise InputError(f"{self.epochs} epochs", why="there are no fewer than 0", fix="give --fine-tune 5")
        if self.distill and not self.epochs:
            raise InputError("--distill", why="it is a way of fine-tuning", fix="give --fine-tune EPOCHS, too")

    @property
    def is_structured(self) -> bool:
        return self.granularity == CHANNEL


@dataclass
class Pruned:
    """The pruned graph, not fused yet, and its entry of report.json."""

    graph: fx.GraphModule
    account: dict[str, Any] = field(default_factory=dict)


def prune(graph: fx.GraphModule, given: Input, settings: Pruning, terminal: Terminal) -> Pruned:
    """Prune a copy of a captured graph."""
    if not settings.is_structured:
        with terminal.step("mask"):
            masks = masks_at(graph, settings, 0, given.data, given.metric)
            masked = apply_masks(graph, masks)
        return Pruned(masked, {"sparsity": masked_shares(masks)})
    with terminal.step("find what goes together"):
        dependencies = find_dependencies(graph, through_layer_norm=settings.through_layer_norm)
    with terminal.step("score channels"):
        scores = score(dependencies, given.data, settings, given.metric)
    removal, chosen = _choose(dependencies, scores, given, settings, terminal)
    with terminal.step("shrink"):
        small = shrink(removal)
    if settings.compensate:
        with terminal.step("compensate"):
            chosen["compensated_layers"] = compensate(removal, small, moment_batches(given.data, settings))
    return Pruned(small, {**chosen, **_channel_account(removal, chosen["round_to"])})


def score(
    dependencies: Dependencies, data: DataSource, settings: Pruning, metric: Metric | None = None
) -> dict[str, Tensor]:
    """``[C_out]`` for each layer by the criterion of the settings, high = keep.

    Args:
        metric: decides the loss whose gradients some criteria take; None for top-1.
    """
    return criterion_scores(
        dependencies,
        settings.criterion,
        lambda: moment_batches(data, settings),
        lambda: _scoring_data(dependencies.gm, data, settings, metric),
        settings.seed,
    )


def masks_at(
    graph: fx.GraphModule, settings: Pruning, epoch: int, data: DataSource, metric: Metric | None = None
) -> Masks:
    """The masks of an epoch of fine-tuning, counted from 0: a schedule raises their ratio."""
    ratio = settings.ratio
    if ratio is not None and settings.schedule != "one-shot":
        ratio = schedule_ratios(settings.schedule, ratio, settings.epochs)[epoch]
    return make_masks(
        graph,
        ratio,
        layers=settings.layers,
        criterion=settings.criterion,
        granularity=settings.granularity,
        scope=settings.scope,
        data=_scoring_data(graph, data, settings, metric) if settings.criterion in WITH_DATA else None,
        seed=settings.seed,
    )


def _choose(
    dependencies: Dependencies, scores: dict[str, Tensor], given: Input, settings: Pruning, terminal: Terminal
) -> tuple[Removal, dict[str, Any]]:
    """Choose the channels to remove; if none can go, halve ``round_to`` and try again."""

    def choose(multiple: int) -> tuple[Removal, dict[str, Any]]:
        return _chosen(dependencies, scores, given, replace(settings, round_to=multiple), terminal)

    if not settings.finer:
        removal, chosen = choose(settings.round_to)
        return removal, {**chosen, "round_to": settings.round_to}
    (removal, chosen), multiple = in_largest_multiples(
        settings.round_to, choose, lambda found: bool(len(found[0].classes)) or not settings.ratio
    )
    return removal, {**chosen, "round_to": multiple}


def _chosen(
    dependencies: Dependencies, scores: dict[str, Tensor], given: Input, settings: Pruning, terminal: Terminal
) -> tuple[Removal, dict[str, Any]]:
    choice = ChannelChoice(settings.criterion, settings.layers, settings.scope, settings.keep_joined)
    if settings.budget is None:
        assert settings.ratio is not None
        return choice.ratio(dependencies, settings.ratio, scores, settings.round_to), {}
    if settings.budget.resource != "latency":
        with terminal.step("meet the budget"):
            fit = choice.within(dependencies, settings.budget, scores, settings.round_to)
    else:
        with terminal.step("meet the budget", timing=True), tempfile.TemporaryDirectory() as folder:
            measure = RelativeLatency(dependencies, given, Path(folder))
            fit = choice.within(dependencies, settings.budget, scores, settings.round_to, measure)
    return fit.removal, {"ratio_found": round(fit.ratio, 4), "budget_left": round(fit.share, 4)}


@dataclass
class RelativeLatency:
    """Latency of a pruned graph in onnxruntime relative to the dense one; batch 1, one thread."""

    dependencies: Dependencies
    given: Input
    folder: Path

    def __call__(self, removal: Removal) -> float:
        from fxpasses.export.onnx_writer.write import to_onnx
        from fxpasses.measure.benchmark import BenchSettings, benchmark
        from fxpasses.measure.runners import onnx_runner

        if not len(removal.classes):
            return 1.0
        dense, small = self.folder / "dense.onnx", self.folder / "small.onnx"
        if not dense.exists():
            to_onnx(fuse(self.dependencies.gm), dense)
        to_onnx(fuse(shrink(removal, verify=False)), small)
        runners = [onnx_runner(dense, "fp32", name="dense"), onnx_runner(small, "fp32", name="small")]
        found = benchmark(runners, self.given.model.example_inputs, BenchSettings(runs=40, max_seconds=6))
        return found.ratio("small", "dense").median


def _channel_account(removal: Removal, round_to: int) -> dict[str, Any]:
    dependencies = removal.dependencies
    kept = {path: {"kept": int(flags.sum()), "of": len(flags)} for path, flags in removal.channels().items()}
    whole = {path: str(reason) for path, reason in dependencies.frozen.items() if path not in kept}
    if round_to > 1:
        grouped = (path for group in dependencies.groups for path in group.layers if path not in kept)
        whole |= dict.fromkeys(grouped, f"all its channels are the nearest multiple of {round_to} (--round-to)")
    return {"channels": kept, "kept_whole": whole, "groups": len(dependencies.groups)}


def check_something_went(pruned: Pruned, settings: Pruning) -> None:
    """Refuse a ratio that removes nothing because counts are rounded.

    Raises:
        InputError: no layer lost a channel.
    """
    if settings.is_structured and settings.ratio and not pruned.account["channels"]:
        raise InputError(
            f"ratio {settings.ratio:g} removes no channel",
            why=f"counts are multiples of {settings.round_to}, and no layer is nearer to fewer of them",
            fix="give a larger --ratio"
            + (f", or --round-to {settings.round_to // 2}" if settings.round_to > 1 else ""),
        )


def moment_batches(data: DataSource, settings: Pruning) -> Iterator[Tensor]:
    """Calibration images for the moments of the channels, which show how channels vary together."""
    return data.calibration(min(MOMENT_IMAGES, data.calibration_images), SCORING_BATCH, settings.seed)


def masked_shares(masks: Masks) -> dict[str, float]:
    """Share of each layer's weights, or channels, that is masked."""
    return {path: round(1 - float(mask.double().mean()), 6) for path, mask in masks.items()}


def _scoring_data(graph: fx.GraphModule, data: DataSource, settings: Pruning, metric: Metric | None) -> ScoringData:
    """A few hundred images, for the criteria that need data, and the loss of the metric."""
    if settings.criterion == "activation":
        images = min(SCORING_BATCH * SCORING_BATCHES, data.calibration_images)
        batches = data.calibration(images, SCORING_BATCH, settings.seed)
        return ScoringData([(inputs, torch.zeros(samples_of(inputs), dtype=torch.long)) for inputs in batches])
    loss = loss_for(metric, graph)
    labelled = training_batches(data, SCORING_BATCH, settings.seed, several_inputs=True)
    kept = list(islice(labelled, SCORING_BATCHES))
    return ScoringData(kept) if loss is None else ScoringData(kept, loss)
