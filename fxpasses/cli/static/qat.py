"""``quantize --qat EPOCHS``: train with simulated rounding, and convert to the integers of the trained graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import fx

from fxpasses.graph.devices import usable_device
from fxpasses.quantization.config import LARGEST_BITS
from fxpasses.training.config import TrainingConfig
from fxpasses.training.frozen.trained_integers import convert_trained
from fxpasses.training.runs.run_data import RunData
from fxpasses.training.runs.run_settings import RunSettings
from fxpasses.training.runs.training_run import CurvePoint
from fxpasses.training.runs.whole_run import STATISTICS, start_run

from ..folders.captured_model import captured_model
from ..folders.detectors import refuse_training
from ..jobs.task_losses import loss_for
from ..jobs.training_data import training_batches
from ..terminal import Terminal
from .training_lines import TrainingLines

if TYPE_CHECKING:
    from ..given import Input
    from .quantize_model import Settings

BATCH = 64


@dataclass(frozen=True)
class Qat:
    """Settings of quantization-aware training.

    Attributes:
        run: settings of the training run.
        weight_bits, activation_bits: bits of all layers but the first and last.
        augment: whether training images are mirrored and shifted.
        checkpoint: a file to which training saves its state from time to time; if it exists, training resumes from it.
    """

    run: RunSettings
    weight_bits: int = LARGEST_BITS
    activation_bits: int = LARGEST_BITS
    augment: bool = False
    checkpoint: Path | None = None


def trained(
    given: Input, settings: Settings, asked: Qat, terminal: Terminal
) -> tuple[fx.GraphModule, Sequence[CurvePoint]]:
    """Train the model on its data's training split, and convert it: the QUANTIZED graph, and the learning curve."""
    refuse_training(given.model, "--qat")
    data = given.data

    def batches(epoch: int) -> Iterator[Any]:
        return training_batches(data, BATCH, settings.seed + epoch, augment=asked.augment, several_inputs=True)

    with terminal.step("prepare training"):
        next(batches(0), None)  # data that nothing can be trained on is told before anything slow
        graph = captured_model(given.model, dynamic_size=settings.dynamic_size)
        images = settings.calibration_images or min(STATISTICS, data.calibration_images)
        calibration = list(data.calibration(images, BATCH, seed=settings.seed))
        steps = -(-data.calibration_images // BATCH)
        config = TrainingConfig(settings.config, asked.weight_bits, asked.activation_bits)
        # random weights have nothing to teach
        how = asked.run if given.model.pretrained else replace(asked.run, distillation=0.0)
        loss, place = loss_for(given.metric, graph), usable_device(settings.device)
        run = start_run(graph, calibration, RunData(batches, steps), config, how, place, loss)
        if asked.checkpoint is not None and asked.checkpoint.exists():
            run.resume(asked.checkpoint)
    with terminal.step("train", run.schedule.total) as step:
        frozen = run.run(asked.checkpoint, on_step=TrainingLines(run, terminal, step))
    with terminal.step("convert"):
        return convert_trained(frozen), run.curve
