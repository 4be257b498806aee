"""Evaluation data for what runs over it many times."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor

from fxpasses.models.data_source import DataSource
from fxpasses.sensitivity.scoring import PIECE

LARGEST_BATCH = 50
MOST_IN_MEMORY = 1 << 29
"""Bytes of evaluation data kept between passes over it; more is read again each time."""

Batch = tuple[Tensor, Tensor | None]


def evaluation_batches(data: DataSource, images: int) -> Callable[[], Iterable[Batch]]:
    """Makes the evaluation data anew, in batches of a size that the caches like; from memory where it fits."""
    images = min(images, data.evaluation_images)
    values = 1
    for size in data.input_shape:
        values *= size
    batch = max(1, min(LARGEST_BATCH, PIECE // values))
    if images * values * 4 > MOST_IN_MEMORY:
        return lambda: data.evaluation(batch, images)
    kept = list(data.evaluation(batch, images))
    return lambda: kept
