"""MiniCIFAR: four classes of CIFAR-10, a fifth of their training images, in the course's order; and all of CIFAR-10.

Classes 0 to 3. One vector of indices, ``RandomState(42).choice(5000, 1000, replace=False)``, is applied to each class's
images in the order of the file, and the classes are stacked. ``RandomState(69)`` shuffles the 4000 for a split into
3200 for training and 800 for validation. The test set is every test image of these classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fxpasses.models.data.cifar_files import cifar_splits
from fxpasses.models.data.data_source import Split
from fxpasses.models.training.augmentation import Augmentation

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
CLASSES, FRACTION = 4, 5
SELECTION_SEED, SPLIT_SEED = 42, 69
TRAINING_SHARE = 0.8


@dataclass(frozen=True)
class Images:
    """Pixels ``[N, 3, 32, 32]`` uint8 and labels ``[N]``."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: Tensor) -> Images:
        return Images(self.pixels[indices], self.labels[indices])

    def inputs(self) -> Tensor:
        """All images, normalized."""
        return normalized(self.pixels)

    def batches(self, size: int = 100) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches in order, normalized."""
        for start in range(0, len(self), size):
            yield normalized(self.pixels[start : start + size]), self.labels[start : start + size]

    def shuffled(self, size: int, *, augmented: bool) -> Callable[[int], Iterator[tuple[Tensor, Tensor]]]:
        """Function from an epoch's number to its batches: shuffled, and shifted and mirrored if asked to."""
        background = normalized(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten()
        moved = Augmentation(background) if augmented else None

        def of_epoch(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            generator = torch.Generator().manual_seed(epoch)
            for indices in torch.randperm(len(self), generator=generator).split(size):
                inputs = normalized(self.pixels[indices])
                yield inputs if moved is None else moved(inputs, generator), self.labels[indices]

        return of_epoch


@dataclass(frozen=True)
class Sets:
    """Images for training, validation and testing."""

    training: Images
    validation: Images
    test: Images


def normalized(pixels: Tensor) -> Tensor:
    """Normalize pixels as the course does, in the layout that is fastest on CPUs."""
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def read_cifar10(folder: Path) -> tuple[Images, Images]:
    """Training and test images of CIFAR-10."""
    training, test = (whole(split) for split in cifar_splits(folder, f"cifar10={folder}"))
    return training, test


def whole(split: Split) -> Images:
    """All images of a split."""
    labels = split.labels
    assert labels is not None
    return Images(split.inputs(torch.arange(len(labels))), labels)


def mini_cifar(training: Images, test: Images) -> Sets:
    """Select the course's four classes."""
    per_class = int((training.labels == 0).sum())
    chosen = np.random.RandomState(SELECTION_SEED).choice(per_class, per_class // FRACTION, replace=False)
    order = torch.cat([where(training, label)[torch.from_numpy(chosen)] for label in range(CLASSES)])
    selected = training.at(order)
    places = np.arange(len(selected))
    np.random.RandomState(SPLIT_SEED).shuffle(places)
    cut = int(TRAINING_SHARE * len(places))
    first, rest = (torch.from_numpy(part) for part in (places[:cut], places[cut:]))
    return Sets(selected.at(first), selected.at(rest), test.at(torch.nonzero(test.labels < CLASSES).flatten()))


def where(images: Images, label: int) -> Tensor:
    """Indices of a class, in the order of the file."""
    return torch.nonzero(images.labels == label).flatten()
