"""Evaluation data for what runs over it many times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from torch import Tensor

from fxpasses.models.data.data_source import DataSource
from fxpasses.sensitivity.scoring import PIECE

LARGEST_BATCH = 50
MOST_IN_MEMORY = 1 << 29
"""Bytes of evaluation data kept between passes over it; more is read again each time."""

DEFAULT_IMAGES = 256
FEWEST_IMAGES = 64
DEFAULT_VALUES = 1 << 24
"""Input values that one measurement of many runs over, unless told otherwise: 111 images of 3x224x224."""

Batch = tuple[Tensor, Tensor | None]


def evaluation_batches(data: DataSource, images: int) -> Callable[[], Iterable[Batch]]:
    """Makes the evaluation data anew, in batches of a size that the caches like; from memory where it fits."""
    images = min(images, data.evaluation_images)
    values = math.prod(data.input_shape)
    batch = max(1, min(LARGEST_BATCH, PIECE // values))
    if images * values * 4 > MOST_IN_MEMORY:
        return lambda: data.evaluation(batch, images)
    kept = list(data.evaluation(batch, images))
    return lambda: kept


def default_images(data: DataSource, wanted: int | None) -> int:
    """How many images to measure on where each is measured many times."""
    if wanted is not None:
        return min(wanted, data.evaluation_images)
    affordable = max(FEWEST_IMAGES, DEFAULT_VALUES // math.prod(data.input_shape))
    return min(DEFAULT_IMAGES, affordable, data.evaluation_images)
