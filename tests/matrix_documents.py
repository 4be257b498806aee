"""A benchmark matrix and benchmarks of devices made by hand, for tests of code that reads or shows them."""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path
from typing import Any

from fxpasses.machine.environment import environment


def matrix_row(name: str, said: str = "faster", ratio: float | None = 2.0, **changes: Any) -> dict[str, Any]:
    """A row; the runtime and the precision are words of its name."""
    structure, runtime, precision = name.split()
    return {
        "name": name, "device": "A CPU", "structure": structure, "runtime": runtime, "precision": precision,
        "batch": 1, "threads": 1, "runs": 100, "rounds": 20, "median_ms": 1.25, "mean_ms": 1.5, "std_ms": 0.1,
        "size_bytes": 300_000, "ratio": ratio, "interval": None if ratio is None else [0.95 * ratio, 1.05 * ratio],
        "paired": True, "verdict": said, "millijoules": None,
    } | changes  # fmt: skip


def matrix_document(**changes: Any) -> dict[str, Any]:
    """A matrix with two settings of this machine, one of them noisy, and a row of another machine."""
    rows = [
        matrix_row("dense onnxruntime fp32", "baseline", None),
        matrix_row("dense torch int8"),
        matrix_row("pruned onnxruntime int8", "no difference shown", 1.01),
        matrix_row("dense onnxruntime fp32", "baseline", None, threads=2),
        matrix_row("dense torch int8", "slower", 0.062, threads=2),
    ]
    other = matrix_row("dense onnxruntime int8", "faster", 3.0, device="Cortex-A76", paired=False)
    rows.append(other | {"name": "model.int8.onnx", "structure": None, "size_bytes": None, "rounds": 0})
    quiet = {
        "batch": 1,
        "threads": 1,
        "ratio": 1.0,
        "interval": [0.99, 1.01],
        "spread": 0.01,
        "margin": 0.03,
        "why": None,
    }
    noisy = quiet | {"threads": 2, "spread": 0.2, "why": "the ratios scatter by 20 %"}
    return {
        "matrix_version": 1, "created": "2001-02-03T04:05:06+00:00", "command": "fxpasses bench DIR --matrix",
        "model": "net_of|mine", "environment": environment(), "baseline": "dense onnxruntime fp32",
        "confidence": 0.95, "row_confidence": 0.99, "method": "In turns.", "rows": rows, "noise": [quiet, noisy],
        "energy": ["energy of cpu is unreadable: there is none"], "notes": ["dense torch bf16 is left out: no kernel"],
    } | changes  # fmt: skip


def device_bench(file: str = "model.int8.onnx", ms: float = 10.0, **changes: Any) -> dict[str, Any]:
    """A document as ``run.py --bench`` prints it."""
    generator = random.Random(file)
    times = [ms * generator.lognormvariate(0.0, 0.02) for _ in range(30)]
    found = {"schema": "fxpasses-bench-1", "file": file, "cpu": "Cortex-A76", "onnxruntime": "1.22.0"}
    found |= {"threads": 1, "batch": 1, "runs": 30, "median_ms": statistics.median(times)}  # type: ignore[dict-item]
    return found | {"mean_ms": statistics.fmean(times), "std_ms": 0.2, "times_ms": times} | changes


def written(folder: Path, *benches: dict[str, Any]) -> list[Path]:
    paths = [folder / f"{number}.json" for number in range(len(benches))]
    for path, bench in zip(paths, benches, strict=True):
        path.write_text(json.dumps(bench))
    return paths
