"""A net for CIFAR-10 and its evaluation images: shared by the ResNet-18 lab and the VGG part of lab 1.

With weights of ``long_training.py`` the net is the large one; without, a narrow one of the same kind is trained here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import torch
from lab_report import LabReport
from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.models.data.cifar_files import NUM_CLASSES, SHAPE, cifar_splits
from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.model_input import Preprocessing
from fxpasses.models.training.augmentation import Augmentation
from fxpasses.models.training.loop import TrainConfig, train

QUICK_TRAINING_IMAGES = 4_000
HELD_OUT_IMAGES, QUICK_HELD_OUT_IMAGES = 1000, 200
CALIBRATION_IMAGES = 256
EVALUATION_BATCH, TRAINING_BATCH = 50, 64
EPOCHS = 2


@dataclass
class CifarSubject:
    """A net in eval mode, and its data."""

    report: LabReport
    data: SplitSource
    preprocessing: Preprocessing
    net: nn.Module

    @property
    def quick(self) -> bool:
        return self.report.settings.quick

    @property
    def images(self) -> int:
        """Number of held-out images for every measurement of accuracy."""
        return min(QUICK_HELD_OUT_IMAGES if self.quick else HELD_OUT_IMAGES, self.data.evaluation_images)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield held-out images and their labels."""
        return self.data.evaluation(EVALUATION_BATCH, self.images)

    def calibration(self) -> Iterator[Tensor]:
        """Yield training images to calibrate ranges."""
        return self.data.calibration(CALIBRATION_IMAGES, 32)

    def make_input(self, batch: int) -> Tensor:
        """Return one batch of held-out images, the same for every model."""
        return next(self.data.evaluation(batch, batch))[0]

    @cached_property
    def captured(self) -> GraphModule:
        """The net as a graph without fusion: its layers are the trained ones."""
        return fx.capture(self.net, (self.make_input(2),))

    @cached_property
    def fused(self) -> GraphModule:
        """The graph with BatchNorm folded into convolutions."""
        return fx.fuse(self.captured)

    def train(
        self, module: nn.Module, epochs: int, lr: float, after_step: Callable[[], object] | None = None
    ) -> nn.Module:
        """Train a module in place by SGD, on mirrored and shifted images; if quick, on the first 4000 of each epoch."""
        most = QUICK_TRAINING_IMAGES if self.quick else self.data.calibration_images
        augmentation = Augmentation(self.preprocessing(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten())

        def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            generator = torch.Generator().manual_seed(epoch)
            for inputs, labels in islice(self.data.training_batches(TRAINING_BATCH, epoch), most // TRAINING_BATCH):
                yield augmentation(inputs, generator), labels

        config = TrainConfig(epochs, lr, "sgd", 5e-4)
        return train(module, batches, config, after_step=after_step, images_per_epoch=most)


def cifar_subject(
    report: LabReport,
    shaped: Callable[[Mapping[str, Tensor]], nn.Module],
    narrow: Callable[[], nn.Module],
    preprocessing: Preprocessing,
    weights: Path | None,
) -> CifarSubject:
    """Read the data, and load the weights or train a narrow net.

    Args:
        report: report of the lab.
        shaped: makes a net with the shapes of some weights.
        narrow: makes the net to train if there are no weights.
        preprocessing: preprocessing of the pixels.
        weights: a file of ``long_training.py``, or None.
    """
    folder = report.settings.data / "cifar10"
    training, held_out = cifar_splits(folder, f"cifar10={folder}")
    data = SplitSource(f"cifar10={folder}", training, held_out, SHAPE, preprocessing, NUM_CLASSES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = None if weights is None else torch.load(weights, weights_only=True)
        net = narrow() if state is None else shaped(state)
    subject = CifarSubject(report, data, preprocessing, net.eval())
    size = f"{type(net).__name__} of {sum(value.numel() for value in net.parameters()):,} parameters"
    if state is not None:
        net.load_state_dict(state)
        report.remark(f"{size}, with the weights given.")
        return subject
    subject.train(net, EPOCHS, 0.05)
    report.remark(f"{size}, trained in this run for {EPOCHS} epochs.")
    return subject
