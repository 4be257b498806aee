"""Runs models through the whole toolkit: capture, quantize, export, load in onnxruntime, compare.

    python scripts/coverage.py [--json FILE]            all torchvision classifiers
    python scripts/coverage.py --timm [--json FILE]     the smallest model of every timm family
    python scripts/coverage.py --zoo hf smp ...         detectors, segmenters, video, text, audio (zoo_coverage/)
    python scripts/coverage.py --models timm/NAME torchvision/NAME hf/NAME ...

A model is ok when its int8 ONNX file runs in onnxruntime and gives the integers of the PyTorch int8 module, at most
one step apart anywhere, and every part of its outputs has at least 10 dB, or is noise in float, too. Whatever fails
shows the error a user would see; a CRASH is a defect of ours. Every model has a process of its own, ended after --limit
seconds; a run that is stopped goes on where it was, given the same FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from zoo_coverage.case import CRASH, FAILED, NOT_OURS, OK, Outcome
from zoo_coverage.classifiers import classifiers, smallest_of, timm_families
from zoo_coverage.real_models import ZOOS, zoo_specs

from fxpasses.export.files import write_json_atomic

SCRIPTS = Path(__file__).resolve().parent
LAST_LINES = 3


def in_process(spec: str, limit_seconds: float) -> Outcome:
    """Cover one model in its own process, so that a crash cannot end the run, and memory is released."""
    command = [sys.executable, "-m", "zoo_coverage.case", spec]
    places = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": places}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit_seconds, env=environment
        )
    except subprocess.TimeoutExpired:
        return Outcome(spec, FAILED, f"not done after {limit_seconds:.0f} s", seconds=limit_seconds)
    if done.returncode == 0:
        return Outcome(**json.loads(done.stdout.splitlines()[-1]))
    if done.returncode == -signal.SIGKILL:
        return Outcome(spec, FAILED, "its process was killed, most likely for want of memory")
    return Outcome(spec, CRASH, "\n".join([f"exit code {done.returncode}", *done.stderr.splitlines()[-LAST_LINES:]]))


def outcomes(groups: Iterable[Sequence[str]], file: Path | None, limit_seconds: float) -> Iterator[Outcome]:
    """Yield the outcome of the smallest model of each group; outcomes in ``file`` are not computed again.

    The file lists outcomes, each with its group, and is written anew after every model.
    """
    known = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.exists() else []
    by_group = {tuple(entry["group"]): entry for entry in known}
    for group in groups:
        entry = by_group.get(tuple(group))
        if entry is None:
            outcome = in_process(_chosen(group), limit_seconds)
            by_group[tuple(group)] = {"group": list(group), **asdict(outcome)}
            if file is not None:
                write_json_atomic(file, list(by_group.values()))
        else:
            outcome = Outcome(**{key: value for key, value in entry.items() if key != "group"})
        yield outcome


def _chosen(group: Sequence[str]) -> str:
    """Spec of the smallest model of a group, ``timm/NAME``, or of the only one."""
    if len(group) == 1:
        return group[0]
    return f"timm/{smallest_of([spec.removeprefix('timm/') for spec in group])}"


def table_of(found: Sequence[Outcome]) -> Table:
    """Table with one row for each model."""
    table = Table(title="coverage: capture, quantize, export, load, compare")
    for heading in (
        "model",
        "input",
        "status",
        "int8",
        "float",
        "SQNR dB",
        "worst part dB",
        "in bfloat16",
        "max LSB",
        "at any node",
        "s",
        "reason",
    ):
        table.add_column(heading, overflow="fold")
    for o in found:
        cells: tuple[object, ...] = (o.input_size, o.status, o.int8_nodes, o.float_nodes, o.sqnr_db, o.worst_part_db)
        cells += (o.twin_db, o.max_lsb, o.max_lsb_at_any_node)
        table.add_row(o.name, *("" if c is None else str(c) for c in cells), str(o.seconds), short_reason(o))
    return table


def short_reason(outcome: Outcome) -> str:
    """The most informative line of an error: the first, or the last of a traceback."""
    lines = outcome.reason.strip().splitlines()
    return lines[-1 if outcome.status == CRASH else 0] if lines else ""


def summary(found: Sequence[Outcome]) -> str:
    """Sentence on the number of models that are ok, among those that torch itself can capture."""
    counts = Counter(o.status for o in found)
    taken = len(found) - counts[NOT_OURS]
    share = 100 * counts[OK] / taken if taken else 0.0
    told = f"{counts[OK]} of {taken} ok ({share:.1f} %), {counts[CRASH]} without a clear error"
    return told + (f"; {counts[NOT_OURS]} more that torch can neither trace nor export" if counts[NOT_OURS] else "")


def main(arguments: Sequence[str] | None = None, progress: TextIO = sys.stderr) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", metavar="MODEL", help="only these; without a / torchvision's")
    parser.add_argument("--timm", action="store_true", help="the smallest model of every timm family")
    parser.add_argument("--zoo", nargs="+", choices=sorted(ZOOS), default=[], help="models that are no classifiers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the outcomes here, and go on from them")
    parser.add_argument("--limit", type=float, default=900.0, metavar="SECONDS", help="for a model (%(default)s)")
    chosen = parser.parse_args(arguments)
    names = chosen.models or (zoo_specs(chosen.zoo) if chosen.zoo else [] if chosen.timm else classifiers())
    groups = [[name if "/" in name else f"torchvision/{name}"] for name in names]
    if chosen.timm:
        groups += [[f"timm/{name}" for name in family] for family in timm_families().values()]
    found = []
    for outcome in outcomes(groups, chosen.json, chosen.limit):
        found.append(outcome)
        line = f"{outcome.status:12} {outcome.name:36} {outcome.seconds:6.1f} s  {short_reason(outcome)[:200]}"
        print(line, file=progress, flush=True)
    console = Console()
    console.print(table_of(found))
    console.print(summary(found))
    return 1 if any(o.status == CRASH for o in found) else 0


if __name__ == "__main__":
    sys.exit(main())
