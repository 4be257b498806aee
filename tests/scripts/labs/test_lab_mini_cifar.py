"""MiniCIFAR equals the course's: its images, their order, and the split."""

from __future__ import annotations

import numpy as np
import torch
from low_bits.mini_cifar import Images, mini_cifar, normalized, where

from fxpasses.models.training.evaluation import evaluate_top1


def numbered(per_class: int) -> Images:
    """Images of ten classes in turn; the first two pixels of each hold its number."""
    count = 10 * per_class
    pixels = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    places = torch.arange(count)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = (places % 256).to(torch.uint8), (places // 256).to(torch.uint8)
    return Images(pixels, places % 10)


def places_of(images: Images) -> list[int]:
    pixels = images.pixels[:, 0, 0, :2].int()
    return [int(place) for place in pixels[:, 0] + 256 * pixels[:, 1]]


TRAINING, TEST = numbered(100), numbered(5)
SETS = mini_cifar(TRAINING, TEST)


def test_one_vector_of_indices_is_applied_to_each_class() -> None:
    chosen = np.random.RandomState(42).choice(100, 20, replace=False)
    expected = sorted(int(index) * 10 + label for label in range(4) for index in chosen)
    assert sorted(places_of(SETS.training) + places_of(SETS.validation)) == expected
    assert where(TRAINING, 3)[:2].tolist() == [3, 13]


def test_the_split_is_the_courses() -> None:
    order = np.arange(80)
    np.random.RandomState(69).shuffle(order)
    chosen = np.random.RandomState(42).choice(100, 20, replace=False)
    stacked = [int(index) * 10 + label for label in range(4) for index in chosen]
    assert places_of(SETS.training) == [stacked[place] for place in order[:64]]
    assert (len(SETS.training), len(SETS.validation)) == (64, 16)


def test_all_test_images_of_the_four_classes() -> None:
    assert sorted(SETS.test.labels.unique().tolist()) == [0, 1, 2, 3] and len(SETS.test) == 20


def test_pixels_are_normalized_as_the_course_does() -> None:
    white = normalized(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    assert torch.allclose(white, torch.tensor([(1 - 0.4914) / 0.2023, (1 - 0.4822) / 0.1994, (1 - 0.4465) / 0.2010]))


def test_batches_are_the_same_at_every_call() -> None:
    for augmented in (False, True):
        of_epoch = SETS.training.shuffled(32, augmented=augmented)
        first, again, later = (next(iter(of_epoch(epoch))) for epoch in (0, 0, 1))
        assert torch.equal(first[0], again[0]) and not torch.equal(first[0], later[0])
    assert (
        evaluate_top1(lambda x: torch.nn.functional.one_hot(torch.zeros(len(x)).long(), 4), SETS.test.batches()) == 25
    )
