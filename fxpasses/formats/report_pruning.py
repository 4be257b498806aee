"""``pruning`` of ``report.json``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .values import Amount, Count, Name, Part, Real, Share, Text


class Size(Part):
    """Of the dense or of the pruned model."""

    params: Count
    nonzero_params: Count
    sparsity: Share
    macs: Count | None
    size_bytes: Count
    compressed_bytes: Count


class Budget(Part):
    """What may be left."""

    resource: Name
    share: Share


class Speedup(Part):
    """Of the pruned model against the dense one, in turns."""

    median: Amount
    q25: Amount
    q75: Amount


class Channels(Part):
    """Of one layer."""

    kept: Count
    of: Annotated[int, Field(ge=1, le=2**53)]


class Statistics(Part):
    """Which statistics BatchNorms have."""

    of: Name | None = None
    taken_again: bool


class FineTuning(Part):
    """How it was trained afterwards."""

    epochs: Count
    learning_rate: Real
    distilled: bool = False


class PruningAccount(Part):
    """What was removed, and what that changed."""

    criterion: Name
    granularity: Name
    scope: Name
    ratio: Share | None = None
    ratio_found: Share | None = None
    budget: Budget | None = None
    dense: Size
    pruned: Size
    speedup_vs_dense: dict[Name, Speedup] = Field(default_factory=dict)
    remark: Text | None = None
    channels: dict[Name, Channels] | None = None
    sparsity: dict[Name, Share] | None = None
    kept_whole: dict[Name, Text] | None = None
    batch_norm_statistics: Statistics | None = None
    fine_tuning: dict[str, Any] | None = None
