"""Recovers a pruned graph: fine-tuning, and other BatchNorm statistics if they give better outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.modules.batchnorm import _BatchNorm

from fxpasses.measure.metrics import Metric
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.training.augmentation import Augmentation, augmentation_of
from fxpasses.models.training.fine_tuning import Distillation, TaskLoss
from fxpasses.models.training.loop import TrainConfig, train
from fxpasses.models.training.norm_statistics import KEPT, Batches, choose_statistics
from fxpasses.models.users.user_batches import samples_of
from fxpasses.pruning.masks.masks import masks_of, reapply_masks, replace_masks

from ..jobs.task_losses import loss_for
from ..jobs.training_data import training_batches
from ..terminal import Step, Terminal
from .steps import Pruned, Pruning, masked_shares, masks_at

FINE_TUNING_BATCH = 64
STATISTICS_BATCH = 64
STATISTICS_IMAGES = 1024
HELD_OUT_IMAGES = 256
SMALL_IMAGE = 64
"""Largest width in pixels for which shifted images are tried: their border is then a large part of the image."""
PLAIN, MOVED = "calibration images", "calibration images, mirrored and shifted"


def recover(
    pruned: Pruned,
    dense: fx.GraphModule,
    data: DataSource,
    settings: Pruning,
    terminal: Terminal,
    metric: Metric | None = None,
) -> None:
    """Fine-tune and choose BatchNorm statistics, in place; masks stay in force.

    Args:
        metric: decides the loss of fine-tuning; None for top-1.
    """
    if settings.epochs:
        _fine_tune(pruned, dense, data, settings, terminal, metric)
    if not settings.keep_statistics:
        _choose_statistics(pruned, dense, data, settings, terminal)


def _fine_tune(
    pruned: Pruned,
    dense: fx.GraphModule,
    data: DataSource,
    settings: Pruning,
    terminal: Terminal,
    metric: Metric | None,
) -> None:
    graph, account, task = pruned.graph, pruned.account, loss_for(metric, pruned.graph)
    distills = settings.distill and task is None  # the outputs of other tasks are no logits
    loss = Distillation(dense) if distills else None if task is None else TaskLoss(task)
    for network in (graph, dense):
        network.to(memory_format=torch.channels_last)  # faster on CPUs
    total, how = settings.epochs * data.calibration_images, {"augment": settings.augment, "several_inputs": True}
    with terminal.step(f"fine-tune {settings.epochs} epochs", total) as step:

        def one_epoch(epoch: int) -> Iterator[tuple[Any, Tensor]]:
            if epoch and settings.schedule != "one-shot":
                replace_masks(graph, masks_at(graph, settings, epoch, data, metric))
            for inputs, labels in training_batches(data, FINE_TUNING_BATCH, settings.seed + epoch, **how):
                yield inputs, labels
                step.advance(len(labels))

        train(
            graph,
            one_epoch,
            _config(settings),
            loss=loss,
            after_step=lambda: reapply_masks(graph),
            images_per_epoch=data.calibration_images,
        )
    for network in (graph, dense):
        network.to(memory_format=torch.contiguous_format)
    if not settings.is_structured:
        account["sparsity"] = masked_shares(masks_of(graph))
    account["fine_tuning"] = _account(settings, distills)


def _account(settings: Pruning, distilled: bool) -> dict[str, Any]:
    return {
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "distilled": distilled,
        "augmented": settings.augment,
        "bf16": settings.bf16,
    }


def _config(settings: Pruning) -> TrainConfig:
    return TrainConfig(
        settings.epochs,
        settings.learning_rate,
        "sgd",
        weight_decay=5e-4,
        seed=settings.seed,
        bf16=settings.bf16,
    )


def _choose_statistics(
    pruned: Pruned, dense: fx.GraphModule, data: DataSource, settings: Pruning, terminal: Terminal
) -> None:
    held_out, images = statistics_split(data.calibration_images)
    candidates: dict[str, Augmentation | None] = {PLAIN: None}
    if settings.augment or max(data.input_shape[1:], default=SMALL_IMAGE + 1) <= SMALL_IMAGE:
        moved = augmentation_of(data)
        candidates |= {} if moved is None else {MOVED: moved}
    total = len(candidates) * (images + held_out) + 2 * held_out
    with terminal.step("BatchNorm statistics", total) as step:

        def calibration(first: int, last: int, move: Augmentation | None) -> Batches:
            return lambda: _counted(statistics_batches(data, first, last, move, settings.seed), step)

        first = held_out if held_out < data.calibration_images else 0
        found = choose_statistics(
            pruned.graph,
            dense,
            {name: calibration(first, first + images, move) for name, move in candidates.items()},
            calibration(0, held_out, None),
        )
    if found:
        chosen = next(iter(found))
        norms = sum(isinstance(m, _BatchNorm) for m in pruned.graph.modules())
        pruned.account["batch_norms_reestimated"] = norms if chosen != KEPT else 0
        pruned.account["batch_norm_statistics"] = {
            "of": chosen,
            "taken_again": chosen != KEPT,
            "distance_to_dense": {
                name: round(apart, 6) if math.isfinite(apart) else None for name, apart in found.items()
            },
        }


def statistics_split(available: int) -> tuple[int, int]:
    """Number of images to measure distances on, and number of images to take statistics of.

    The two sets are disjoint, unless there are too few images: then all serve for both.
    """
    held_out = min(HELD_OUT_IMAGES, available // 5 // STATISTICS_BATCH * STATISTICS_BATCH)
    return (held_out, min(STATISTICS_IMAGES, available - held_out)) if held_out else (available, available)


def statistics_batches(
    data: DataSource, first: int, last: int, move: Augmentation | None, seed: int
) -> Iterator[Tensor]:
    """Yield calibration images ``first`` to ``last - 1``; ``first`` is a whole number of batches."""
    generator = torch.Generator().manual_seed(seed)
    for inputs in islice(data.calibration(last, STATISTICS_BATCH, seed), first // STATISTICS_BATCH, None):
        yield inputs if move is None else move(inputs, generator)


def _counted(batches: Iterable[Tensor], step: Step) -> Iterator[Tensor]:
    for inputs in batches:
        yield inputs
        step.advance(samples_of(inputs))
