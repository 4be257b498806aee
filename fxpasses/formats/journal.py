"""Journals of searches: JSON lines; the first describes the search, each other line is a measurement with its key."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .values import Closed, Count, Part, Percent, Real, Share

Loss = Annotated[float, Field(allow_inf_nan=False)]


class Score(Closed):
    """Results of a changed model on the data."""

    images: Count
    top1: Percent | None
    loss: Loss | None
    top1_agreement: Percent | None
    sqnr_db: Real | None
    metric: Real | None = None
    falls: bool = False


class WeightError(Closed):
    """Error of a layer's weights as integers."""

    low: Real
    high: Real
    scale_low: Real
    scale_high: Real
    sqnr_db: Real | None


class LayerCost(Part):
    """Cost of int8 in one layer."""

    alone: Score
    kept_float: Score
    alone_at_node_db: Real | None
    weight: WeightError | None


class Latency(Closed):
    """Latency of an int8 file in onnxruntime."""

    ms: Annotated[float, Field(gt=0, le=1e9)]
    speedup: Annotated[float, Field(gt=0, le=1e9)]


class Tried(Part):
    """One evaluation during a search."""

    ratio: Share
    drop: Real


class LargestRatio(Part):
    """Result of a search for a pruning ratio."""

    ratio: Share
    drop: Real
    evaluations: Count
    tried: list[Tried]
    is_monotone: bool
    next_failing: Share | None


class About(Part):
    """The first line of a journal: the description of the search."""

    about: dict[str, Any]


class Measurement(Part):
    """A line of a journal after the first; the first entry of ``key`` decides which model ``value`` has."""

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
"""Model of a measurement by the first entry of its key; a number (of images, in a scan for pruning) means a score."""


def value_model(key: object) -> Value | None:
    """The model of the measurement with this key; None for keys of other programs."""
    first = key[0] if isinstance(key, list) and key else None
    if isinstance(first, int) and not isinstance(first, bool):
        return Score
    return VALUES.get(first) if isinstance(first, str) else None
