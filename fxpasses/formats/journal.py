"""Journals of searches: JSON lines, the first of what they are about, each other one a measurement by its key."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .values import Closed, Count, Part, Percent, Real, Share

Loss = Annotated[float, Field(allow_inf_nan=False)]


class Score(Closed):
    """What a changed model made of the data."""

    images: Count
    top1: Percent | None
    loss: Loss | None
    top1_agreement: Percent | None
    sqnr_db: Real | None
    metric: Real | None = None
    falls: bool = False


class WeightError(Closed):
    """A layer's weights against their integers."""

    low: Real
    high: Real
    scale_low: Real
    scale_high: Real
    sqnr_db: Real | None


class LayerCost(Part):
    """What int8 costs at one layer."""

    alone: Score
    kept_float: Score
    alone_at_node_db: Real | None
    weight: WeightError | None


class Latency(Closed):
    """Of an int8 file in onnxruntime."""

    ms: Annotated[float, Field(gt=0, le=1e9)]
    speedup: Annotated[float, Field(gt=0, le=1e9)]


class Tried(Part):
    """One evaluation."""

    ratio: Share
    drop: Real


class LargestRatio(Part):
    """What a search for a ratio found."""

    ratio: Share
    drop: Real
    evaluations: Count
    tried: list[Tried]
    is_monotone: bool
    next_failing: Share | None


class About(Part):
    """The first line."""

    about: dict[str, Any]


class Measurement(Part):
    """Every other line; ``value`` is one of the above, which the first entry of ``key`` tells."""

    key: Any
    value: dict[str, Any]


Value = type[Score] | type[LayerCost] | type[Latency] | type[LargestRatio]
VALUES: dict[str, Value] = {
    "score": Score,
    "alone": Score,
    "layer": LayerCost,
    "latency": Latency,
    "largest": LargestRatio,
}
"""By the first entry of the key; a number of images, of a scan for pruning, stands for a score."""


def value_model(key: object) -> Value | None:
    """The model of what a key measures; None for keys of other programs."""
    first = key[0] if isinstance(key, list) and key else None
    if isinstance(first, int) and not isinstance(first, bool):
        return Score
    return VALUES.get(first) if isinstance(first, str) else None
