"""Batches of splits: balanced, repeatable, checked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.models.data.array_split import ArraySplit
from fxpasses.models.data.data_source import DataSource, SplitSource, check_shape, spread_over_classes
from fxpasses.models.model_input import ModelInput, Preprocessing

CLASSES = 5


def source(training_labels: Tensor | None = None, held_out: int = 11) -> SplitSource:
    """Images whose every pixel is their index."""
    labels = torch.arange(20) % CLASSES if training_labels is None else training_labels

    def split(labels: Tensor) -> ArraySplit:
        images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 3)
        return ArraySplit(images, labels)

    as_is = Preprocessing((0.0,), (1 / 255,))
    return SplitSource("numbers", split(labels), split(torch.arange(held_out)), (1, 2, 3), as_is, CLASSES)


def indices(batches: list[Tensor]) -> list[int]:
    return [int(image[0, 0, 0].round()) for batch in batches for image in batch]


def test_it_is_a_data_source() -> None:
    assert isinstance(source(), DataSource)
    assert (source().calibration_images, source().evaluation_images) == (20, 11)


def test_calibration_is_balanced_over_classes_and_repeatable() -> None:
    drawn = indices(list(source().calibration(10, batch_size=4)))
    assert sorted(index % CLASSES for index in drawn) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert drawn == indices(list(source().calibration(10, batch_size=3)))
    assert drawn != indices(list(source().calibration(10, seed=1)))
    assert drawn[:6] == indices(list(source().calibration(6)))


def test_calibration_batches_have_the_size_asked_for() -> None:
    batches = list(source().calibration(10, batch_size=4))
    assert [tuple(batch.shape) for batch in batches] == [(4, 1, 2, 3), (4, 1, 2, 3), (2, 1, 2, 3)]
    assert {batch.dtype for batch in batches} == {torch.float32}


def test_a_rare_class_is_drawn_before_the_second_of_any_other() -> None:
    labels = torch.tensor([0] * 50 + [1])
    first_two = spread_over_classes(51, labels, seed=3)[:2]
    assert sorted(labels[first_two].tolist()) == [0, 1]


def test_the_order_holds_every_index_once() -> None:
    labels = torch.randint(7, (200,), generator=torch.Generator().manual_seed(0))
    assert sorted(spread_over_classes(200, labels, seed=0).tolist()) == list(range(200))
    assert sorted(spread_over_classes(9, None, seed=0).tolist()) == list(range(9))


def test_evaluation_goes_through_everything_in_order() -> None:
    batches = list(source().evaluation(batch_size=4))
    assert indices([images for images, _ in batches]) == list(range(11))
    assert [label for _, labels in batches if labels is not None for label in labels.tolist()] == list(range(11))


def test_a_limit_is_spread_evenly() -> None:
    assert indices([images for images, _ in source(held_out=100).evaluation(limit=4)]) == [0, 25, 50, 75]
    assert indices([images for images, _ in source().evaluation(limit=99)]) == list(range(11))


def test_training_batches_are_all_images_shuffled() -> None:
    data = source(torch.arange(20))
    first, second = (torch.cat([labels for _, labels in data.training_batches(6, seed)]).tolist() for seed in (0, 1))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


@pytest.mark.parametrize(
    ("images", "batch_size", "message"),
    [(0, 8, "calibration images: 0"), (21, 8, "numbers has only 20"), (4, 0, "batch size: 0"), (-1, 8, "at least one")],
)
def test_impossible_counts_are_refused_at_the_call(images: int, batch_size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        source().calibration(images, batch_size)


def test_impossible_evaluation_counts_are_refused_at_the_call() -> None:
    with pytest.raises(InputError, match="evaluation images: 0"):
        source().evaluation(limit=0)
    with pytest.raises(InputError, match="batch size: -2"):
        source().evaluation(batch_size=-2)


def test_training_needs_labels() -> None:
    from fxpasses.models.data.noise_data import noise_splits

    unlabelled = SplitSource("noise", *noise_splits((1, 2, 3)), (1, 2, 3), None, None)
    with pytest.raises(InputError, match=r"(?s)cannot train on noise.*no labels"):
        unlabelled.training_batches()


def test_another_shape_than_the_models_is_refused() -> None:
    with pytest.raises(InputError, match="its inputs are 3x32x32, the model takes 1x28x28"):
        check_shape("cifar10=x", (3, 32, 32), ModelInput((1, 28, 28)))
