"""Trains a net on CIFAR-10 in rounds of growing length, resumable after a kill at any moment.

    python scripts/labs/long_training.py --net resnet18 --data CIFAR --folder RUN

A round is a cosine from the full learning rate to zero; each is longer than the one before, and continues from its end
(Loshchilov and Hutter 2016, warm restarts). Early epochs use crops smaller than 32x32, at the images' own scale. A crop
of 20x20 takes a third of the time, and since the nets end in an average over positions, the weights fit images of any
size. The result of the run at any moment is the moving average of its weights (decay 0.999).

Everything is a function of the step: the order of the images, crops and mirrors are drawn from generators seeded with
the epoch or the step. So a checkpoint is weights, averages, momenta and one number, and a resumed run gives exactly the
result of an uninterrupted one. ``RUN/checkpoint.pt`` is written every 200 steps (to a second file, then renamed) and
``RUN/weights.pt`` after every epoch; both load with ``weights_only=True``.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from vgg.pooled import PooledVgg, narrowed

from fxpasses.models.data.cifar_files import cifar_splits
from fxpasses.models.data.data_source import Split
from fxpasses.models.model_input import UNIT_RANGE, Preprocessing
from fxpasses.models.nets.cifar_resnet18 import CIFAR_STATISTICS, CifarResNet18
from fxpasses.models.training.augmentation import Augmentation
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.writing.atomic import write_bytes_atomic

ROUNDS: tuple[tuple[int, ...], ...] = ((20, 24, 32), (24, 24, 32, 32, 32, 32), (32,) * 12, (32,) * 24, (32,) * 48)
"""Size of the crops in each epoch of each round."""
SHORT_ROUNDS: tuple[tuple[int, ...], ...] = ((24, 24, 28, 32, 32, 32), (32,) * 12, (32,) * 24)
"""Rounds of narrow nets, whose epochs take minutes: size of the crops in each epoch."""
WARM_UP_STEPS = 200
CHECKPOINT_STEPS = 200
PUBLISHED, CHECKPOINT, LOG = "weights.pt", "checkpoint.pt", "log.jsonl"


@dataclass(frozen=True)
class LongRun:
    """Settings of the run; the defaults are the usual ones of CIFAR-10, for batches of 64."""

    rounds: tuple[tuple[int, ...], ...] = ROUNDS
    batch: int = 64
    lr: float = 0.05
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    average: float = 0.999
    seed: int = 0


@dataclass(frozen=True)
class Candidate:
    """A net that can be trained, with its preprocessing and its rounds."""

    build: Callable[[], nn.Module]
    preprocessing: Preprocessing
    rounds: tuple[tuple[int, ...], ...]


CANDIDATES = {
    "resnet18": Candidate(CifarResNet18, CIFAR_STATISTICS, ROUNDS),
    "vgg": Candidate(PooledVgg, UNIT_RANGE, ROUNDS),
    "vgg_half": Candidate(lambda: narrowed(2), UNIT_RANGE, SHORT_ROUNDS),
    "vgg_quarter": Candidate(lambda: narrowed(4), UNIT_RANGE, SHORT_ROUNDS),
}


@dataclass(frozen=True)
class Place:
    """Place of a step: its epoch among all, its step in the epoch, the crop, and the progress of its round, 0 to 1."""

    epoch: int
    step: int
    crop: int
    progress: float


def place_of(step: int, steps_per_epoch: int, rounds: tuple[tuple[int, ...], ...]) -> Place | None:
    """Place of a step, counted from 0 over the whole run; None after the last."""
    epoch, within = divmod(step, steps_per_epoch)
    first = 0
    for crops in rounds:
        if epoch < first + len(crops):
            progress = (step - first * steps_per_epoch) / (len(crops) * steps_per_epoch)
            return Place(epoch, within, crops[epoch - first], progress)
        first += len(crops)
    return None


def cropped(images: Tensor, size: int, background: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror and shift images ``[B, C, size, size]``; a smaller size takes one window for the whole batch."""
    shifted = Augmentation(background)(images, generator)
    room = images.shape[2] - size
    y, x = torch.randint(room + 1, (2,), generator=generator).tolist()
    return shifted[:, :, y : y + size, x : x + size].contiguous()


class Trainer:
    """The state of the run: a net, the moving average of its weights, momenta, and the next step."""

    def __init__(self, net: nn.Module, training: Split, run: LongRun, preprocessing: Preprocessing) -> None:
        self.net, self.training, self.run, self.preprocessing = net, training, run, preprocessing
        self.average = {name: value.clone() for name, value in net.state_dict().items()}
        self.optimizer = torch.optim.SGD(net.parameters(), run.lr, 0.9, weight_decay=run.weight_decay, nesterov=True)
        self.next_step = 0
        self.steps_per_epoch = len(training) // run.batch
        self.background = preprocessing(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten()

    def train_step(self, place: Place) -> float:
        """Do one step of the optimizer; return the loss of its batch."""
        images, labels = self.batch_of(place)
        self.net.train()
        warm = min(1.0, (self.next_step + 1) / WARM_UP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = self.run.lr * warm * (1 + math.cos(math.pi * place.progress)) / 2
        loss = F.cross_entropy(self.net(images), labels, label_smoothing=self.run.label_smoothing)
        if not bool(loss.isfinite()):
            raise RuntimeError(f"the loss is {loss.item()} in step {self.next_step}: lower the learning rate")
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self._follow()
        self.next_step += 1
        return loss.item()

    def batch_of(self, place: Place) -> tuple[Tensor, Tensor]:
        """Batch of a step; it depends on nothing else."""
        order = torch.randperm(len(self.training), generator=_generator(self.run.seed, place.epoch))
        indices = order[place.step * self.run.batch :][: self.run.batch]
        labels = self.training.labels
        if labels is None:
            raise RuntimeError("the training images have no labels: give a labelled data set")
        images = self.preprocessing(self.training.inputs(indices))
        drawn = _generator(self.run.seed + 1, self.next_step)
        return cropped(images, place.crop, self.background, drawn), labels[indices]

    def _follow(self) -> None:
        """Update the average; early averages forget faster, since otherwise they would keep the
        random start for long.
        """
        decay = min(self.run.average, (1 + self.next_step) / (10 + self.next_step))
        for name, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def save(self, path: Path) -> None:
        """Write a checkpoint; the file is complete or not there."""
        content = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "next_step": self.next_step,
        }
        written(content, path)

    def resume(self, path: Path) -> None:
        """Resume from a checkpoint."""
        content = torch.load(path, weights_only=True)
        self.net.load_state_dict(content["net"])
        self.average = content["average"]
        self.optimizer.load_state_dict(content["optimizer"])
        self.next_step = content["next_step"]


def written(content: object, path: Path) -> None:
    """Write a file as a whole or not at all: a reader never sees half of one."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes_atomic(path, buffer.getbuffer())


def _generator(seed: int, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed * 1_000_003 + number)


def averaged_net(trainer: Trainer, fresh: nn.Module) -> nn.Module:
    """Net with the moving averages, in eval mode."""
    fresh.load_state_dict(trainer.average)
    return fresh.eval()


def train_on(trainer: Trainer, held_out: Split, folder: Path, spare: nn.Module) -> None:
    """Run to the end of the last round, and write checkpoints, weights and a log to the folder."""
    started = time.monotonic()
    losses: list[float] = []
    while (place := place_of(trainer.next_step, trainer.steps_per_epoch, trainer.run.rounds)) is not None:
        losses.append(trainer.train_step(place))
        epoch_ends = place.step == trainer.steps_per_epoch - 1
        if trainer.next_step % CHECKPOINT_STEPS == 0 or epoch_ends:
            trainer.save(folder / CHECKPOINT)
            line: dict[str, object] = {
                "step": trainer.next_step, "epoch": place.epoch, "crop": place.crop, "progress": place.progress,
                "loss": sum(losses) / len(losses), "seconds": time.monotonic() - started,
            }  # fmt: skip
            losses = []
            if epoch_ends:
                net = averaged_net(trainer, spare)
                line["top1"] = accuracy(net, held_out, trainer.preprocessing)
                written(net.state_dict(), folder / PUBLISHED)
            with (folder / LOG).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")


def accuracy(net: nn.Module, held_out: Split, preprocessing: Preprocessing, batch: int = 50) -> float:
    """Top-1 in percent on all held-out images."""
    labels = held_out.labels
    batches = (
        (preprocessing(held_out.inputs(indices)), None if labels is None else labels[indices])
        for indices in torch.split(torch.arange(len(held_out)), batch)
    )
    return evaluate_top1(net, batches)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train a net on CIFAR-10, resumable after a kill at any moment.")
    parser.add_argument("--net", choices=CANDIDATES, default="resnet18")
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10")
    parser.add_argument("--folder", type=Path, required=True, help="folder of checkpoints, weights and log")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    training, held_out = cifar_splits(options.data, str(options.data))
    candidate = CANDIDATES[options.net]
    torch.manual_seed(0)
    trainer = Trainer(candidate.build(), training, LongRun(candidate.rounds), candidate.preprocessing)
    if (options.folder / CHECKPOINT).exists():
        trainer.resume(options.folder / CHECKPOINT)
    train_on(trainer, held_out, options.folder, candidate.build())


if __name__ == "__main__":
    main()
