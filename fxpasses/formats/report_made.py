"""The parts of ``report.json`` that say how the model came about."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .values import Count, Name, Part, Percent, Positive, Real, Sha256, Text


class Changed(Part):
    """What a pass did to a node."""

    node: Name
    what: Text


class Skipped(Part):
    """Why a pass left a node alone."""

    node: Name
    why: Text


class PassLog(Part):
    """What one pass did."""

    name: Name
    changed: list[Changed]
    skipped: list[Skipped]


class Layer(Part):
    """What one operator computes in."""

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
    """What onnxruntime fuses."""

    ok: bool
    summary: Text
    int8_ops: dict[Name, Count] = Field(default_factory=dict)
    float_heavy: list[FloatOperator] = Field(default_factory=list)
    float_light: list[FloatOperator] = Field(default_factory=list)
    warnings: list[Text] = Field(default_factory=list)


class Repair(Part):
    """What one repair gained."""

    repair: Name
    setting: Name
    sqnr_db: Real | None
    gain_db: Real | None
    top1_agreement: Percent | None


class Repairs(Part):
    """From plain rounding on, one repair after the other."""

    images: Count
    steps: list[Repair]


class Placement(Part):
    """A kind of operator, tried in float."""

    operator: Name
    nodes: Positive
    speedup: Real
    in_float: bool


class Integers(Part):
    """The images stored beside the model, and the digest of what it makes of them, for other machines to compare."""

    cpu: Name
    kernels: dict[Name, Name]
    images: Count
    exact: bool
    sha256: Sha256


class OutputPart(Part):
    """One part of one output, int8 against float."""

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
