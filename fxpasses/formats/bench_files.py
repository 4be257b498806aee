"""Benchmarks as JSON: the output of ``run.py --bench`` of a bundle on any device, and the benchmark matrix."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .report import Environment
from .values import Count, Name, Part, Positive, Text

Milliseconds = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e9)]
Spread = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e9)]
Ratio = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e9)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
MOST_TIMES = 10_000_000


class DeviceBench(Part):
    """Latency of one ONNX file in onnxruntime, as a bundle measures it."""

    format: Literal["fxpasses-bench-1"] = Field(alias="schema")
    file: Name
    cpu: Name
    onnxruntime: Name
    threads: Positive
    batch: Positive
    runs: Positive
    median_ms: Milliseconds
    mean_ms: Milliseconds
    std_ms: Spread
    times_ms: Annotated[list[Milliseconds], Field(min_length=1, max_length=MOST_TIMES)]


class MatrixRow(Part):
    """One variant at one setting on one device; ``ratio`` is the baseline's time over the variant's time."""

    name: Name
    device: Name
    structure: Literal["dense", "pruned"] | None
    runtime: Name
    precision: Name
    batch: Positive
    threads: Positive
    runs: Positive
    rounds: Count
    median_ms: Milliseconds
    mean_ms: Milliseconds
    std_ms: Spread
    size_bytes: Count | None
    ratio: Ratio | None
    interval: Annotated[list[Ratio], Field(min_length=2, max_length=2)] | None
    paired: bool
    verdict: Literal["faster", "slower", "no difference shown", "baseline"]
    millijoules: Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e15)] | None


class MatrixNoise(Part):
    """The baseline against itself at one setting; ``why`` is the reason if the machine is noisy."""

    batch: Positive
    threads: Positive
    ratio: Ratio
    interval: Annotated[list[Ratio], Field(min_length=2, max_length=2)] | None
    spread: Spread
    margin: Spread
    why: Text | None


class BenchMatrix(Part):
    """``matrix.json``."""

    matrix_version: Literal[1]
    created: Name
    command: Text
    model: Name
    environment: Environment
    baseline: Name
    confidence: Fraction
    row_confidence: Fraction
    method: Text
    rows: list[MatrixRow]
    noise: list[MatrixNoise]
    energy: list[Text]
    notes: list[Text]
