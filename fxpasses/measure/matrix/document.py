"""``matrix.json``: everything that was measured and compared, under keys that do not change."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fxpasses.formats.bench_files import BenchMatrix
from fxpasses.formats.documents import checked, read_json
from fxpasses.machine.environment import environment, gpu_name

from ..runners import ONNXRUNTIME
from .imported import ImportedRow
from .intervals import Interval
from .measuring import CONFIDENCE, Matrix, Row
from .noise import Noise
from .variants import CPU
from .verdicts import MARGIN

MATRIX_VERSION = 1
METHOD = (
    "Variants take turns in short blocks after a warm-up. A ratio is the median over rounds of the baseline's time "
    "over the row's, both of one round, with its order-statistic interval (Conover 1999, 3.2); all intervals of this "
    f"machine hold together with {100 * CONFIDENCE:.0f} % (Bonferroni). A verdict needs the interval to lie beyond "
    f"{100 * MARGIN:.0f} % either way, or beyond what the baseline differs from itself by. Imported rows were not "
    "measured in turns: their ratio is of medians, with a bootstrap interval (Efron and Tibshirani 1993, 13), against "
    "float32 on the same device, and their margin is 10 %."
)


@dataclass(frozen=True)
class About:
    """Facts on a matrix for its document: the model, the command, remarks on energy, and notes."""

    model: str
    command: str
    energy: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def matrix_document(matrix: Matrix, imported: Sequence[ImportedRow], about: About) -> dict[str, Any]:
    """The content of matrix.json."""
    machine = environment()
    rows = [_measured(row, machine) for row in matrix.rows] + [_imported(row) for row in imported]
    return {
        "matrix_version": MATRIX_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": about.command,
        "model": about.model,
        "environment": machine,
        "baseline": matrix.baseline,
        "confidence": CONFIDENCE,
        "row_confidence": matrix.confidence,
        "method": METHOD,
        "rows": rows,
        "noise": [_noise(batch, threads, noise) for (batch, threads), noise in matrix.noise.items()],
        "energy": list(about.energy),
        "notes": list(about.notes),
    }


def read_matrix(path: Path) -> dict[str, Any]:
    """Read a document that :func:`matrix_document` made.

    Raises:
        InputError: there is no such file, or it is no matrix; the error names the key.
    """
    again = "make it again: fxpasses bench DIR --matrix --out DIR writes it"
    document = read_json(path, "the matrix", again)
    checked(BenchMatrix, document, path, again)
    assert isinstance(document, dict)
    return document


def _measured(row: Row, machine: Mapping[str, Any]) -> dict[str, Any]:
    variant = row.variant
    return {
        "name": variant.name,
        "device": machine["cpu"] if variant.device == CPU else gpu_name() or variant.device,
        "structure": variant.structure,
        "runtime": variant.runner.runtime,
        "precision": variant.runner.precision,
        "batch": row.batch,
        "threads": row.threads,
        "runs": len(row.times_ms),
        "rounds": 0 if row.ratio is None else row.ratio.values,
        **_times(row.times_ms),
        "size_bytes": variant.size_bytes,
        **_ratio(row.ratio),
        "paired": True,
        "verdict": row.verdict,
        "millijoules": row.millijoules,
    }


def _imported(row: ImportedRow) -> dict[str, Any]:
    bench = row.bench
    return {
        "name": bench.file,
        "device": row.device,
        "structure": None,
        "runtime": ONNXRUNTIME,
        "precision": row.precision,
        "batch": bench.batch,
        "threads": bench.threads,
        "runs": bench.runs,
        "rounds": 0,
        "median_ms": bench.median_ms,
        "mean_ms": bench.mean_ms,
        "std_ms": bench.std_ms,
        "size_bytes": None,
        **_ratio(row.ratio),
        "paired": False,
        "verdict": row.verdict,
        "millijoules": None,
    }


def _times(times_ms: Sequence[float]) -> dict[str, float]:
    spread = statistics.stdev(times_ms) if len(times_ms) > 1 else 0.0
    return {"median_ms": statistics.median(times_ms), "mean_ms": statistics.fmean(times_ms), "std_ms": spread}


def _ratio(ratio: Interval | None) -> dict[str, Any]:
    return {"ratio": None if ratio is None else ratio.median, "interval": _bounds(ratio)}


def _bounds(interval: Interval | None) -> list[float] | None:
    if interval is None or interval.low is None or interval.high is None:
        return None
    return [interval.low, interval.high]


def _noise(batch: int, threads: int, noise: Noise) -> dict[str, Any]:
    return {
        "batch": batch,
        "threads": threads,
        "ratio": noise.interval.median,
        "interval": _bounds(noise.interval),
        "spread": noise.spread,
        "margin": noise.margin,
        "why": noise.why,
    }
