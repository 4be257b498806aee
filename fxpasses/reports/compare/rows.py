"""Every variant of every run as one row: as values for CSV, and as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..measure_text import Measure
from ..numbers import (
    UNKNOWN,
    accuracy_of,
    bytes_text,
    condition_text,
    decibel_text,
    percent_text,
    ratio_text,
    three_digits,
)
from .runs import Run

VALUE_COLUMNS = (
    *("run", "machine", "model", "data", "target", "variant", "runtime", "precision", "size_bytes"),
    *("metric", "accuracy", "images", "top1_agreement", "sqnr_db"),
    *("batch", "threads", "p50_ms", "p90_ms", "items_per_s", "speedup_vs_fp32"),
)
"""Columns of the CSV file. A variant has a row for each batch size and thread count at which it was timed, or one."""
_TIMES = ("batch", "threads", "p50_ms", "p90_ms", "items_per_s", "speedup_vs_fp32")


def value_rows(runs: Sequence[Run]) -> list[tuple[Any, ...]]:
    """The rows, in the order of :data:`VALUE_COLUMNS`; None for what was not measured."""
    found = []
    for run in runs:
        measure = Measure.of(run.report["variants"])
        for v in run.report["variants"]:
            about = (run.name, run.machine, *(run.report[key] for key in ("model", "data", "target")))
            known = (v["name"], v["runtime"], v["precision"], v["size_bytes"], measure.name, accuracy_of(v))
            measured = (v["accuracy"]["images"], v["vs_fp32"]["top1_agreement"], v["vs_fp32"]["sqnr_db"])
            for entry in v["latency"] or [{}]:
                found.append((*about, *known, *measured, *(entry.get(key) for key in _TIMES)))
    return found


def columns_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """Column titles of tables for people."""
    names = list(dict.fromkeys(Measure.of(run.report["variants"]).name for run in runs))
    condition = condition_of(runs)
    latency = f"ms ({condition})" if condition else "ms"
    return ("run", "variant", "size", "/".join(names), "agrees with fp32", "SQNR", latency, "against fp32")


def condition_of(runs: Sequence[Run]) -> str | None:
    """The first batch size and thread count at which all timed variants were timed; None if there is none."""
    timed = [[condition_text(e) for e in v["latency"]] for r in runs for v in r.report["variants"] if v["latency"]]
    if not timed:
        return None
    return next((name for name in timed[0] if all(name in others for others in timed)), None)


def text_rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The rows, in the order of :func:`columns_of`."""
    condition = condition_of(runs)
    return [row_text(run, variant, condition) for run in runs for variant in run.report["variants"]]


def row_text(run: Run, variant: Mapping[str, Any], condition: str | None) -> tuple[str, ...]:
    """One row as text; its times are those at ``condition``."""
    measure = Measure.of(run.report["variants"])
    entry = next((e for e in variant["latency"] if condition_text(e) == condition), None)
    return (
        run.name,
        variant["name"],
        bytes_text(variant["size_bytes"]),
        measure.text(accuracy_of(variant)),
        percent_text(variant["vs_fp32"]["top1_agreement"]),
        decibel_text(variant["vs_fp32"]["sqnr_db"]),
        UNKNOWN if entry is None else three_digits(entry["p50_ms"]),
        UNKNOWN if entry is None else ratio_text(entry.get("speedup_vs_fp32")),
    )
