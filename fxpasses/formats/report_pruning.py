"""Format of ``pruning`` in ``report.json``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .values import Amount, Count, Name, Part, Real, Share, Text


class Size(Part):
    """Size of the dense or of the pruned model."""

    params: Count
    nonzero_params: Count
    sparsity: Share
    macs: Count | None
    size_bytes: Count
    compressed_bytes: Count


class Budget(Part):
    """Size that pruning had to reach, as a share of the dense model."""

    resource: Name
    share: Share


class Speedup(Part):
    """Speed of the pruned model relative to the dense one, measured alternately."""

    median: Amount
    q25: Amount
    q75: Amount


class Channels(Part):
    """Number of channels of one layer after and before pruning."""

    kept: Count
    of: Annotated[int, Field(ge=1, le=2**53)]


class Statistics(Part):
    """Origin of the BatchNorm statistics."""

    of: Name | None = None
    taken_again: bool


class FineTuning(Part):
    """Settings of the training after pruning."""

    epochs: Count
    learning_rate: Real
    distilled: bool = False


class PruningAccount(Part):
    """Account of a pruning: the removed parts, and their effects."""

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
