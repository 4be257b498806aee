"""Augmentation: shifts by whole pixels, mirrors, and a border of normalised black."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from fxpasses.models.data.array_split import ArraySplit
from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.model_input import IMAGENET
from fxpasses.models.training.augmentation import Augmentation, augmentation_of

IMAGES = torch.randint(1, 256, (6, 3, 5, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
SPLIT = ArraySplit(IMAGES, torch.zeros(6, dtype=torch.long))
SOURCE = SplitSource("images", SPLIT, SPLIT, (3, 5, 4), IMAGENET, 10)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_images_are_mirrored_and_shifted() -> None:
    image = torch.arange(1.0, 13).reshape(1, 1, 3, 4).expand(64, 1, 3, 4)
    moved = Augmentation(torch.tensor([-7.0]), pixels=1)(image, seeded())
    assert moved.shape == image.shape
    sides = {flip: F.pad(image[:1].flip(3) if flip else image[:1], (1, 1, 1, 1), value=-7) for flip in (False, True)}
    possible = [sides[f][0, :, y : y + 3, x : x + 4] for f in sides for y in range(3) for x in range(3)]
    assert all(any(torch.equal(m, p) for p in possible) for m in moved)
    assert len({tuple(m.flatten().tolist()) for m in moved}) > 10


def test_a_seed_gives_the_same_images_again() -> None:
    move, images = Augmentation(torch.zeros(3)), IMAGES.float()
    assert torch.equal(move(images, seeded(1)), move(images, seeded(1)))
    assert not torch.equal(move(images, seeded(1)), move(images, seeded(2)))


def test_what_a_shift_uncovers_is_a_black_pixel() -> None:
    """The result equals that of moving the pixels before they are normalised."""
    move = augmentation_of(SOURCE)
    assert move is not None
    before = IMAGENET(Augmentation(torch.zeros(3))(IMAGES, seeded()))
    assert torch.equal(move(IMAGENET(IMAGES), seeded()), before)


def test_without_preprocessing_black_is_zero_and_text_stays() -> None:
    plain = augmentation_of(replace(SOURCE, preprocessing=None))
    assert plain is not None and plain.background.tolist() == [0, 0, 0]
    assert augmentation_of(replace(SOURCE, input_shape=(16,), preprocessing=None)) is None
