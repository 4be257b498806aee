"""Evaluation data for measurements that run over it many times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from torch import Tensor

from fxpasses.models.data.data_source import DataSource
from fxpasses.sensitivity.scoring import PIECE

LARGEST_BATCH = 50
MOST_IN_MEMORY = 1 << 29
"""Largest size in bytes of evaluation data that is kept in memory between passes; larger data is read again each time.
"""

DEFAULT_IMAGES = 256
FEWEST_IMAGES = 64
DEFAULT_VALUES = 1 << 24
"""Default number of input values that one of many measurements runs over: 111 images of 3x224x224."""

Batch = tuple[Tensor, Tensor | None]


def evaluation_batches(data: DataSource, images: int) -> Callable[[], Iterable[Batch]]:
    """Return a function that gives the evaluation data from the start, in batches whose size fits the caches. The data
    is kept in memory if it is small enough.
    """
    images = min(images, data.evaluation_images)
    values = math.prod(data.input_shape)
    batch = max(1, min(LARGEST_BATCH, PIECE // values))
    if images * values * 4 > MOST_IN_MEMORY:
        return lambda: data.evaluation(batch, images)
    kept = list(data.evaluation(batch, images))
    return lambda: kept


def default_images(data: DataSource, wanted: int | None) -> int:
    """Number of images to measure on, if there are many measurements of each."""
    if wanted is not None:
        return min(wanted, data.evaluation_images)
    affordable = max(FEWEST_IMAGES, DEFAULT_VALUES // math.prod(data.input_shape))
    return min(DEFAULT_IMAGES, affordable, data.evaluation_images)
