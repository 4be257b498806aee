"""One training run: open phase, freezing, frozen phase; step by step, so that it can stop and resume at any step."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...callers_code import is_a_failure
from ...errors import InputError
from ...graph.devices import on_device
from ...quantization.ranges.deferred import is_remote
from ...signature.examples import inputs_of
from ...signature.samples import count_samples
from ...user_frames import first_line, users_frame
from ..distributed import average_gradients, is_first, samples_of_all
from ..fake.broken_ranges import find_broken
from ..fake.trained_layer import TrainedLayer
from ..frozen.freeze import freeze_training
from ..frozen.norm_statistics import hold_statistics, reestimate_statistics
from ..training_facts import facts_of
from .averaging import ParameterAverage
from .checkpoint_file import fingerprint, read_checkpoint, write_checkpoint
from .losses import dampening_factor, dampening_loss, is_depthwise
from .optimizers import optimizer_of, set_rates
from .random_states import random_states, set_random_states
from .run_data import RunData
from .run_settings import RunSettings, Schedule
from .step_readings import StepReadings
from .task_loss import Loss, class_loss, own_loss


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a run, which a callback gets after each step.

    Attributes:
        step, steps: number of steps done, and of all steps.
        epoch: number of epochs done, as a fraction.
        phase: ``"open"`` or ``"frozen"``.
        loss: loss of the step; on a GPU, of the last step that was read, at most 50 before.
        accuracy: top-1 of that step's training batch, in percent; None with a loss of the caller's own.
        seconds_left: estimate from the speed so far.
    """

    step: int
    steps: int
    epoch: float
    phase: str
    loss: float
    accuracy: float | None
    seconds_left: float


@dataclass(frozen=True)
class CurvePoint:
    """A row of the learning curve: means over one epoch, or over a phase's part of one."""

    epoch: float
    phase: str
    loss: float
    accuracy: float | None


OnStep = Callable[[TrainingProgress], object]


class TrainingRun:
    """A run of an open TRAINING graph, on the device that it is on.

    Args:
        graph: trained in place. On a GPU no step waits for a number; what is frozen and converted is made on the CPU.
        data: the training batches, which are moved to the graph's device.
        settings: settings of the run.
        teacher: the float model, or None; it is copied to the graph's device, run in eval mode and not changed.
        calibration: batches from which BatchNorm statistics are estimated again.
        loss: what to minimise in place of the cross-entropy of logits; then there is no distillation.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        data: RunData,
        settings: RunSettings,
        teacher: nn.Module | None = None,
        calibration: Sequence[Any] = (),
        loss: Loss | None = None,
    ) -> None:
        self.graph, self.data, self.settings, self.calibration = graph, data, settings, calibration
        self.device = next((p.device for p in graph.parameters()), torch.device("cpu"))
        teaches = teacher is not None and settings.distillation > 0 and loss is None
        self.teacher = _there(teacher, self.device) if teaches and teacher is not None else None
        self.loss = class_loss(settings) if loss is None else own_loss(loss, self.device)
        self._counts_right = loss is None
        self.schedule = Schedule.of(settings, data.steps_per_epoch)
        self.frozen: fx.GraphModule | None = None
        self.done = 0
        self.curve: list[CurvePoint] = []
        self.optimizer = optimizer_of(graph, settings, frozen=False)
        self.average = ParameterAverage(graph, settings.ema) if settings.ema else None
        self._made_of = fingerprint(graph, facts_of(graph, "training").config, settings, data.steps_per_epoch)
        self._sums, self._readings = [0.0, 0.0, 0.0], StepReadings()
        self._epoch_states = random_states()
        self._dampens = settings.dampening is None or settings.dampening > 0
        self._began, self._began_at = time.monotonic(), 0

    @property
    def current(self) -> fx.GraphModule:
        """The graph in training now."""
        return self.graph if self.frozen is None else self.frozen

    def run(self, checkpoint: Path | None = None, every: int = 200, on_step: OnStep | None = None) -> fx.GraphModule:
        """Train to the end, from the current step; return the frozen graph.

        Raises:
            InputError: the loss is not finite, the data do not fit, or a checkpoint cannot be written.
        """
        self._began, self._began_at = time.monotonic(), self.done
        while self.done < self.schedule.total:
            loss, accuracy = self.step()
            if on_step is not None:
                on_step(self._progress(loss, accuracy))
            if checkpoint is not None and self.done % every == 0 and is_first():
                self.save(checkpoint)
        if self.frozen is None:
            self._freeze()
        assert self.frozen is not None
        return self.frozen.eval()

    def step(self) -> tuple[float, float | None]:
        """Do one step; return loss and training accuracy in percent, on a GPU those of the last step that was read."""
        if self.done == self.schedule.opened:
            self._freeze()
        elif self.done == self.schedule.held:
            self._restate()
            hold_statistics(self.graph)
        if self.data.begins_epoch:
            self._epoch_states = random_states()
        given, labels = self.data.next()
        inputs = inputs_of(self.graph, given, "a training batch")
        set_rates(self.optimizer, self.schedule.share_left(self.done))
        there: tuple[Any, ...] = on_device(inputs, self.device)
        outputs, samples = self._outputs(there), count_samples(self.graph, inputs)
        loss, right = self.loss(outputs, labels, self._taught(there), samples)
        if not is_remote(loss) and not bool(torch.isfinite(loss)):
            raise self._diverged(f"the loss is {loss.item()}", self.done + 1)
        total = loss if self.frozen is not None or not self._dampens else loss + self._dampening()
        self.optimizer.zero_grad()
        torch.autograd.backward(total)
        average_gradients(self.current)
        self.optimizer.step()
        self.done += 1
        if self.average is not None and self.frozen is None:
            self.average.update(self.graph)
        self._readings.add(self.done, loss.detach(), torch.zeros_like(loss) if right is None else right, samples)
        closes = self.data.begins_epoch or self.done in (self.schedule.opened, self.schedule.total)
        if closes or self._readings.are_due:
            self._read()
        if closes:
            self._close_row()
        return self._readings.last.loss, self._readings.last.accuracy if self._counts_right else None

    def save(self, path: Path) -> None:
        """Write everything that the run needs to resume and end with the same result.

        Raises:
            InputError: a value is not finite, or the file cannot be written; the last one is then still there.
        """
        self._read()
        if find_broken(self.current):
            raise self._diverged("the last step left no finite weights", self.done)
        content: dict[str, Any] = {
            "done": self.done,
            "open": self.graph.state_dict(),
            "frozen": None if self.frozen is None else self.frozen.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.values,
            "curve": [list(asdict(point).values()) for point in self.curve],
            "sums": list(self._sums),
            "data": [self.data.epoch, self.data.taken],
            "epoch_states": self._epoch_states,
            "states": random_states(),
        }
        write_checkpoint(path, content, self._made_of)

    def resume(self, path: Path) -> None:
        """Resume where a checkpoint of the same run stopped.

        Raises:
            InputError: there is no checkpoint, it is damaged, or it is of another run.
        """
        content = read_checkpoint(path, self._made_of)
        self.graph.load_state_dict(content["open"])
        self.graph.train()
        if content["frozen"] is not None:
            self.frozen = freeze_training(self.graph)
            self.frozen.load_state_dict(content["frozen"])
            self.optimizer = optimizer_of(self.frozen, self.settings, frozen=True)
        self.optimizer.load_state_dict(content["optimizer"])
        if self.average is not None:
            self.average.values = on_device(content["average"], self.device)
        self.done = content["done"]
        self.curve = [CurvePoint(*row) for row in content["curve"]]
        self._sums = content["sums"]
        self._epoch_states = content["epoch_states"]
        set_random_states(self._epoch_states)
        self.data.go_to(*content["data"])
        set_random_states(content["states"])

    def _freeze(self) -> None:
        """Begin the last phase; the open graph keeps the frozen values, so that a checkpoint can freeze it again."""
        self._close_row()
        if self.average is not None:
            self.average.put_into(self.graph)
        self._restate()
        self.frozen = freeze_training(self.graph)
        self.optimizer = optimizer_of(self.frozen, self.settings, frozen=True)

    def _restate(self) -> None:
        """Estimate BatchNorm statistics again: running ones are those of older weights, and must not be held."""
        if len(self.calibration):
            reestimate_statistics(self.graph, samples_of_all(self.calibration))

    def _outputs(self, inputs: tuple[Any, ...]) -> Any:
        try:
            return self.current(*inputs)
        except BaseException as error:  # the caller can mend an error in the data
            if not is_a_failure(error):
                raise
            fix = "give batches of the shape the model was captured with"
            shapes = ", ".join(str(list(x.shape)) for x in inputs if isinstance(x, Tensor))
            raise InputError(
                f"the model does not train on a batch of shape {shapes}",
                why=first_line(error),
                fix=fix,
                at=users_frame(error),
            ) from error

    def _taught(self, inputs: tuple[Any, ...]) -> Any:
        if self.teacher is None:
            return None
        with torch.no_grad():
            return self.teacher(*inputs)

    def _dampening(self) -> Tensor:
        if self.settings.dampening is None and not any(
            isinstance(m, TrainedLayer) and is_depthwise(m) for m in self.graph.modules()
        ):
            return torch.zeros(())
        factor = dampening_factor(self.settings, self.done / max(1, self.schedule.opened))
        return factor * dampening_loss(self.graph, every_layer=self.settings.dampening is not None)

    def _diverged(self, found: str, step: int) -> InputError:
        broken = find_broken(self.current)
        where = f"; {broken[0].where}: {broken[0].why}" if broken else ""
        return InputError(
            f"training diverged at step {step} of {self.schedule.total}",
            why=f"{found}{where}",
            fix="resume from the last checkpoint with a lower lr, or look for NaN in the data",
        )

    def _read(self) -> None:
        for done in self._readings.take():
            if not math.isfinite(done.loss):  # on the CPU it was seen before the step
                raise self._diverged(f"the loss is {done.loss}", done.step)
            loss, right, images = self._sums
            self._sums = [loss + done.loss * done.images, right + done.right, images + done.images]

    def _close_row(self) -> None:
        loss, right, images = self._sums
        if images:
            phase = "open" if self.frozen is None else "frozen"
            accuracy = 100 * right / images if self._counts_right else None
            self.curve.append(CurvePoint(self.done / self.data.steps_per_epoch, phase, loss / images, accuracy))
            self._sums = [0.0, 0.0, 0.0]

    def _progress(self, loss: float, accuracy: float | None) -> TrainingProgress:
        per_step = (time.monotonic() - self._began) / max(1, self.done - self._began_at)
        left = (self.schedule.total - self.done) * per_step
        phase = "open" if self.frozen is None else "frozen"
        return TrainingProgress(
            self.done, self.schedule.total, self.done / self.data.steps_per_epoch, phase, loss, accuracy, left
        )


def _there(model: nn.Module, device: torch.device) -> nn.Module:
    """The model itself, or a copy on another device."""
    if all(value.device == device for value in (*model.parameters(), *model.buffers())):
        return model
    return copy.deepcopy(model).to(device)
