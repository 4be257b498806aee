"""What the sections of the ResNet-18 lab share: CIFAR-10, the net, and its graph as captured.

With ``--weights`` the net is the whole ResNet-18; without, one of an eighth of its width, trained here for two epochs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from lab_report import LabReport
from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.models.augmentation import Augmentation
from fxpasses.models.cifar_files import NUM_CLASSES, SHAPE, cifar_splits
from fxpasses.models.cifar_resnet18 import CIFAR_STATISTICS, CifarResNet18
from fxpasses.models.data_source import SplitSource
from fxpasses.models.training import TrainConfig, train

NARROW_WIDTH = 8
TRAINING_IMAGES, QUICK_TRAINING_IMAGES = 50_000, 8_000
HELD_OUT_IMAGES, QUICK_HELD_OUT_IMAGES = 1000, 300
CALIBRATION_IMAGES = 256
EVALUATION_BATCH = 50


@dataclass
class ResNet18:
    """The net in eval mode, and the data it is judged on."""

    report: LabReport
    data: SplitSource
    net: nn.Module

    @property
    def quick(self) -> bool:
        return self.report.settings.quick

    @property
    def images(self) -> int:
        """Held-out images that every accuracy is measured on."""
        most = QUICK_HELD_OUT_IMAGES if self.quick else HELD_OUT_IMAGES
        return min(most, self.data.evaluation_images)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Held-out images and their labels."""
        return self.data.evaluation(EVALUATION_BATCH, self.images)

    def calibration(self) -> Iterator[Tensor]:
        """Training images, for ranges."""
        return self.data.calibration(CALIBRATION_IMAGES, 32)

    def make_input(self, batch: int) -> Tensor:
        """One batch of held-out images, the same for every model."""
        return next(self.data.evaluation(batch, batch))[0]

    @cached_property
    def captured(self) -> GraphModule:
        """The net as a graph, nothing folded: its layers are those that were trained."""
        return fx.capture(self.net, (self.make_input(2),))

    @cached_property
    def fused(self) -> GraphModule:
        """With BatchNorm folded into convolutions."""
        return fx.fuse(self.captured)


def begin(report: LabReport) -> ResNet18:
    """Read the data, and load the weights or train a narrow net."""
    folder = report.settings.data / "cifar10"
    training, held_out = cifar_splits(folder, f"cifar10={folder}")
    data = SplitSource(f"cifar10={folder}", training, held_out, SHAPE, CIFAR_STATISTICS, NUM_CLASSES)
    weights = report.settings.weights
    if weights is not None:
        net: nn.Module = CifarResNet18()
        net.load_state_dict(torch.load(weights, weights_only=True))
        report.remark(f"ResNet-18 of full width, weights {weights.name}.")
        return ResNet18(report, data, net.eval())
    report.remark(f"A ResNet-18 of width {NARROW_WIDTH} in place of 64, trained for two epochs of this run.")
    return ResNet18(report, data, _narrow_net(data, quick=report.settings.quick))


def _narrow_net(data: SplitSource, *, quick: bool) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = CifarResNet18(width=NARROW_WIDTH)
    images = QUICK_TRAINING_IMAGES if quick else TRAINING_IMAGES
    augmentation = Augmentation(CIFAR_STATISTICS(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten())

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator, seen = torch.Generator().manual_seed(epoch), 0
        for inputs, labels in data.training_batches(64, epoch):
            if seen >= images:
                return
            seen += len(labels)
            yield augmentation(inputs, generator), labels

    train(net, batches, TrainConfig(2, 0.05, "sgd", 5e-4), images_per_epoch=images)
    return net
