"""The parts of ``report.json`` about the making of the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .values import Count, Name, Part, Percent, Positive, Real, Sha256, Text


class Changed(Part):
    """A change of a node by a pass."""

    node: Name
    what: Text


class Skipped(Part):
    """A node that a pass did not change, with the reason."""

    node: Name
    why: Text


class PassLog(Part):
    """The results of one pass."""

    name: Name
    changed: list[Changed]
    skipped: list[Skipped]


class Layer(Part):
    """The precision of one operator."""

    node: Name
    module: Name | None
    operator: Name
    precision: Name
    why: Text | None
    shape: list[Count] | None
    scale: Real | None
    zero_point: Annotated[int, Field(ge=-(2**31), le=2**31)] | None
    weights: Count
    sqnr_db: Real | None = None
    histogram: Annotated[list[Count], Field(max_length=256)] | None = None


class FloatOperator(Part):
    """An operator that onnxruntime computes in float."""

    op: Name
    name: Name
    reason: Text


class Audit(Part):
    """Operators that onnxruntime computes in int8 and in float."""

    ok: bool
    summary: Text
    int8_ops: dict[Name, Count] = Field(default_factory=dict)
    float_heavy: list[FloatOperator] = Field(default_factory=list)
    float_light: list[FloatOperator] = Field(default_factory=list)
    warnings: list[Text] = Field(default_factory=list)


class Repair(Part):
    """Gain of one repair."""

    repair: Name
    setting: Name
    sqnr_db: Real | None
    gain_db: Real | None
    top1_agreement: Percent | None


class Repairs(Part):
    """Gains of all repairs, one after the other, starting from plain rounding."""

    images: Count
    steps: list[Repair]


class Placement(Part):
    """Speed of one kind of operator in float."""

    operator: Name
    nodes: Positive
    speedup: Real
    in_float: bool


class Integers(Part):
    """Images stored beside the model, and a digest of the model's integers for them, to compare machines."""

    cpu: Name
    kernels: dict[Name, Name]
    images: Count
    exact: bool
    sha256: Sha256


class OutputPart(Part):
    """Error of one part of one output, int8 compared with float."""

    output: Name
    part: Name
    node: Name
    sqnr_db: Real | None
    became_constant: bool
    warning: Text | None


class Macs(Part):
    """Multiply-accumulates counted from shapes, and by ptflops."""

    macs: Count | None
    ptflops: Count | None
    difference_percent: Real | None
