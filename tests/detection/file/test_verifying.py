"""Detections of two runtimes are compared one by one; only those with equal scores may be exchanged."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fxpasses.detection.file.verifying import shared_detections


def image(*rows: tuple[float, int, float]) -> dict[str, Tensor]:
    """Score, label and left edge of each detection."""
    boxes = torch.tensor([[left, 0.0, left + 5, 7.0] for _, _, left in rows]).reshape(-1, 4)
    labels = torch.tensor([label for _, label, _ in rows], dtype=torch.int64)
    return {"boxes": boxes, "labels": labels, "scores": torch.tensor([score for score, _, _ in rows])}


BOTH = image((0.9, 1, 3.0), (0.5, 2, 8.0))


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (BOTH, 1.0),
        (image((0.9, 1, 3.05), (0.5, 2, 8.0)), 1.0),
        (image((0.9, 1, 3.0), (0.5, 1, 8.0)), 0.5),
        (image((0.9, 1, 3.0), (0.5, 2, 9.0)), 0.5),
        (image((0.9, 1, 3.0), (0.6, 2, 8.0)), 0.5),
        (image((0.9, 1, 3.0)), 0.5),
        (image(), 0.0),
    ],
)
def test_a_difference_counts(other: dict[str, Tensor], share: float) -> None:
    assert shared_detections([other], [BOTH]) == shared_detections([BOTH], [other]) == share


def test_equal_scores_may_be_exchanged() -> None:
    first, second = image((0.9, 1, 3.0), (0.9, 2, 8.0)), image((0.9, 3, 1.0), (0.9, 2, 4.0))
    assert shared_detections([first], [second]) == 1
    assert shared_detections([first], [image((0.9, 3, 1.0), (0.7, 2, 4.0))]) < 1


def test_nothing_is_the_same_as_nothing() -> None:
    assert shared_detections([image()], [image()]) == 1
    assert shared_detections([], []) == 1
