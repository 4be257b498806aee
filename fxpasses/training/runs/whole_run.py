"""Quantization-aware training in one call: from a float model and labelled data to a QUANTIZED graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...capturing.attempts import capture
from ...capturing.dynamic_sizes import Dynamic
from ...graph.devices import usable_device
from ...graph.stages import graph_facts
from ...passes.fusion import fuse
from ...quantization.ranges.calibration import checked_batches
from ...quantization.ranges.first_samples import first_samples
from ..config import TrainingConfig
from ..fake.prepare import prepare_training
from ..frozen.trained_integers import convert_trained
from .run_data import BatchesOfEpoch, RunData
from .run_settings import RunSettings
from .task_loss import Loss
from .training_run import OnStep, TrainingRun

STATISTICS = 1024
"""Number of calibration samples from which BatchNorm statistics are estimated again before they are folded."""
"""Key in a graph's facts of its learning curve: a list of rows."""


def train_quantized(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...] | Mapping[str, Any],
    loader: Iterable[Any] | BatchesOfEpoch,
    config: TrainingConfig | None = None,
    settings: RunSettings | None = None,
    *,
    calibration: Iterable[Any] | None = None,
    steps_per_epoch: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 200,
    resume: bool = False,
    on_step: OnStep | None = None,
    dynamic: Dynamic | None = None,
    device: str | torch.device | None = None,
    loss: Loss | None = None,
) -> fx.GraphModule:
    """Prepare, train, freeze, train further, and convert.

    Args:
        model: trained, in eval mode; it is not changed, and is the teacher of the distillation.
        example_inputs: as for :func:`fxpasses.quantize`.
        loader: ``(inputs, labels)`` batches: a DataLoader, a list, or a function of the epoch's number. A batch may
            also be ``(input, input, ..., labels)``, or a dict with ``labels``.
        config: bits and target; defaults to 8 bits.
        settings: settings of the run; defaults to ``RunSettings()``.
        calibration: data for ranges and BatchNorm statistics, preferably without augmentation. None: the first batches
            of the loader.
        steps_per_epoch: needed if the loader has no length.
        checkpoint: a file that stores the run every ``checkpoint_every`` steps.
        resume: continue from that file, if it exists.
        on_step: called with a :class:`TrainingProgress` after each step.
        dynamic: as for :func:`fxpasses.quantize`.
        device: where to train, ``"cuda"`` for a GPU; None for the CPU. Ranges are measured, and the int8 graph is made
            and compared, on the CPU; a checkpoint of one device resumes on any.
        loss: ``(outputs, labels) -> loss``, for tasks other than classes: ``torch.nn.functional.mse_loss`` for a
            regressor, or a function that picks outputs. Without it, the cross-entropy of logits ``[B, classes, ...]``
            for labels ``[B, ...]``, with the float model's logits as a second target.

    Returns:
        The QUANTIZED graph; ``graph_facts(graph).training_curve`` has its learning curve.

    Raises:
        GraphError, InputError: see :func:`fxpasses.prepare_training`, :class:`TrainingRun` and
            :func:`fxpasses.convert_trained`.
    """
    settings, place = settings or RunSettings(), usable_device(device or "cpu")
    graph = capture(model, example_inputs, dynamic=dynamic)
    data = RunData(loader, steps_per_epoch)
    samples = calibration if calibration is not None else (loader(0) if callable(loader) else loader)
    kept, _ = first_samples(checked_batches(graph, samples), STATISTICS)
    run = start_run(graph, kept, data, config, settings, place, loss)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and resume and path.exists():
        run.resume(path)
    frozen = run.run(path, checkpoint_every, on_step)
    int8 = convert_trained(frozen)
    graph_facts(int8).training_curve = tuple(run.curve)
    return int8


def start_run(
    graph: fx.GraphModule,
    calibration: list[Any],
    data: RunData,
    config: TrainingConfig | None,
    settings: RunSettings,
    device: torch.device | None = None,
    loss: Loss | None = None,
) -> TrainingRun:
    """Start a run from a FLOAT graph, on a device."""
    torch.manual_seed(settings.seed)
    prepared = prepare_training(graph, calibration, config).to(device or "cpu")
    return TrainingRun(prepared, data, settings, fuse(graph), calibration, loss)
