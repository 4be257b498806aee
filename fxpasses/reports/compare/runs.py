"""The compared runs, each with a short, unique name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError

from ..document import read_report

_REPORT = "report.json"
MOST_RUNS = 32


@dataclass(frozen=True)
class Run:
    """One report, and its name in the comparison."""

    name: str
    report: Mapping[str, Any]

    @property
    def machine(self) -> str:
        return str(self.report["environment"]["cpu"] or "unknown CPU")


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read the reports of folders or files.

    Raises:
        InputError: there are none, or too many for one comparison, or one of them is no report.
    """
    if not 0 < len(paths) <= MOST_RUNS:
        raise InputError(
            f"{len(paths)} runs",
            why=f"1 to {MOST_RUNS} are compared",
            fix="name folders that quantize or prune made, or report.json files",
        )
    files = [path / _REPORT if path.is_dir() else path for path in paths]
    return [Run(name, read_report(file)) for name, file in zip(_names(files), files, strict=True)]


def _names(files: Sequence[Path]) -> list[str]:
    """Short names: as many last parts of each path as make all names differ; if none do, a number is added."""
    parts = [file.resolve().parts[:-1] if file.name == _REPORT else file.resolve().parts for file in files]
    found = [part[-1] if part else "run" for part in parts]
    for length in range(1, max(len(part) for part in parts) + 1):
        found = ["/".join(part[-length:]) or "run" for part in parts]
        if len(set(found)) == len(found):
            return found
    return [f"{name} ({number})" for number, name in enumerate(found, 1)]


def what_differs(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Settings and surroundings that are not alike in all runs: name, and a value for each run."""
    described = [_described(run) for run in runs]
    names = list(dict.fromkeys(name for known in described for name in known))
    rows = [(name, [known.get(name, "") for known in described]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _described(run: Run) -> dict[str, str]:
    report, environment = run.report, run.report["environment"]
    found = {"model": report["model"], "data": report["data"], "target": report["target"]}
    found |= {"method": report.get("method"), "machine": run.machine, "threads": environment["threads"]}
    found |= {f"int8 kernels, {runtime}": level for runtime, level in (report.get("kernels") or {}).items()}
    found |= dict(environment["versions"] or {})
    found |= {f"setting {name}": value for name, value in (report.get("recipe") or {}).items()}
    pruning = report.get("pruning") or {}
    found |= {f"pruning {name}": pruning.get(name) for name in ("criterion", "granularity", "ratio", "budget")}
    return {name: _plain(value) for name, value in found.items() if value not in (None, [], "")}


def _plain(value: object) -> str:
    """A value in a cell: ``macs 0.5`` for a budget."""
    return " ".join(map(str, value.values())) if isinstance(value, Mapping) else str(value)


def cautions(runs: Sequence[Run]) -> list[str]:
    """Warnings against conclusions that the comparison does not support, as sentences."""
    found = []
    if len({run.report["model"] for run in runs}) > 1:
        found.append("The runs are of different models.")
    if len({run.report["data"] for run in runs}) > 1:
        found.append("The runs were measured on different data: their accuracies do not compare.")
    elif len({images for run in runs for images in _images(run)}) > 1:
        found.append("The runs were measured on different numbers of images: small differences in accuracy are chance.")
    if len({run.machine for run in runs}) > 1:
        found.append("The runs were timed on different machines: compare each with its own fp32.")
    return found


def _images(run: Run) -> set[int]:
    return {v["accuracy"]["images"] for v in run.report["variants"] if v["accuracy"]["images"]}
