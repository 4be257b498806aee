"""Benchmarks of other devices: the JSON that ``run.py --bench`` of a bundle prints there.

Files of one device were measured one after the other, not in turns: their ratio is of unpaired medians, with a
bootstrap interval (:mod:`.intervals`), and a larger margin (:mod:`.verdicts`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fxpasses.errors import InputError
from fxpasses.formats.bench_files import DeviceBench
from fxpasses.formats.documents import checked, read_json

from ..runners import FLOAT_PRECISIONS
from .intervals import Interval, ratio_interval
from .measuring import CONFIDENCE
from .variants import PRECISIONS
from .verdicts import BASELINE, NO_DIFFERENCE, UNPAIRED_MARGIN, verdict

AGAIN = "run it there again: python run.py --bench > device.json"
_SAME = 1e-3
"""Largest relative difference of a stated median from the computed one; rounding to a few digits explains it."""
OTHER = "other"


@dataclass(frozen=True)
class ImportedRow:
    """The benchmark of one file on another device."""

    bench: DeviceBench
    ratio: Interval | None
    verdict: str

    @property
    def precision(self) -> str:
        return precision_of(self.bench.file)

    @property
    def device(self) -> str:
        return f"{self.bench.cpu} (onnxruntime {self.bench.onnxruntime})"


def read_device_bench(path: Path) -> DeviceBench:
    """Read one file of a device's benchmark.

    Raises:
        InputError: it cannot be read, is no such JSON, or its numbers contradict each other; the error names the key.
    """
    bench = checked(DeviceBench, read_json(path, "the benchmark", AGAIN), path, AGAIN)
    if bench.runs != len(bench.times_ms):
        why = f"there are {len(bench.times_ms)} times_ms"
        raise InputError(f"{path}: runs = {bench.runs}", why=why, fix=AGAIN)
    median = statistics.median(bench.times_ms)
    if abs(bench.median_ms - median) > _SAME * median:
        raise InputError(f"{path}: median_ms = {bench.median_ms}", why=f"that of times_ms is {median:.6g}", fix=AGAIN)
    return bench


def imported_rows(paths: Sequence[Path]) -> list[ImportedRow]:
    """A row for each file, compared with the float32 file of the same device, batch and threads if there is one.

    Raises:
        InputError: a file is none, or two are of the same device, file, batch and threads.
    """
    benches: dict[tuple[object, ...], DeviceBench] = {}
    for path in paths:
        bench = read_device_bench(path)
        if (key := (bench.file, *_setting(bench))) in benches:
            raise InputError(
                f"{path} is of {bench.file} on {bench.cpu}, batch {bench.batch}, threads {bench.threads}",
                why="another file given is of the same",
                fix="give one of the two",
            )
        benches[key] = bench
    return [_row(bench, list(benches.values())) for bench in benches.values()]


def _setting(bench: DeviceBench) -> tuple[object, ...]:
    return bench.cpu, bench.onnxruntime, bench.batch, bench.threads


def _row(bench: DeviceBench, others: Sequence[DeviceBench]) -> ImportedRow:
    floats = [b for b in others if _setting(b) == _setting(bench) and precision_of(b.file) in FLOAT_PRECISIONS]
    if not floats:
        return ImportedRow(bench, None, NO_DIFFERENCE)
    if floats[0] is bench:
        return ImportedRow(bench, None, BASELINE)
    ratio = ratio_interval(floats[0].times_ms, bench.times_ms, CONFIDENCE)
    return ImportedRow(bench, ratio, verdict(ratio, UNPAIRED_MARGIN))


def precision_of(file: str) -> str:
    """The precision in a file's name: ``int8`` for ``model.int8.onnx``."""
    return next((part for part in file.split(".") if part in PRECISIONS), OTHER)
