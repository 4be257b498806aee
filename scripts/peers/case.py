"""Input of every contestant: one net and one set of calibration images, in a folder.

    case.json          the model's name and weights, and the number of batches
    fp32.onnx          the float model, BatchNorm folded
    calibration/N.npy  batches ``[B, ...]``, read one at a time, so that the decoding of images is not measured

Contestants run in their own processes and some need no torch: nothing here imports it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CASE, BATCHES = "case.json", "calibration"


@dataclass(frozen=True)
class Case:
    """A float model and its calibration batches.

    Attributes:
        model: its spec on the command line.
        weights: a file, or None for random ones.
        batches: number of batches.
    """

    folder: Path
    model: str
    weights: str | None
    batches: int

    @property
    def float_onnx(self) -> Path:
        return self.folder / "fp32.onnx"

    def calibration(self, start: int = 0, end: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield the batches from ``start`` on, the same at each call; one is in memory at a time."""
        for number in range(start, self.batches if end is None else end):
            yield np.load(self.folder / BATCHES / f"{number}.npy")


def write_case(folder: Path, model: str, weights: Path | None, batches: Iterable[NDArray[Any]]) -> Case:
    """Store the batches and the names of the model; the caller writes ``fp32.onnx``."""
    (folder / BATCHES).mkdir(parents=True)
    count = 0
    for batch in batches:
        np.save(folder / BATCHES / f"{count}.npy", batch)
        count += 1
    case = Case(folder, model, None if weights is None else str(weights), count)
    facts = {name: value for name, value in asdict(case).items() if name != "folder"}
    (folder / CASE).write_text(json.dumps(facts), encoding="utf-8")
    return case


def read_case(folder: Path) -> Case:
    """Read the folder of :func:`write_case`."""
    return Case(folder, **json.loads((folder / CASE).read_text(encoding="utf-8")))
