"""What every contestant is given: one net and one set of calibration images, in a folder.

    case.json          the model's name and weights, and how many batches there are
    fp32.onnx          the float model, BatchNorm folded
    calibration/N.npy  batches ``[B, ...]``, read one at a time, so that nobody pays for decoding images

Contestants run in processes of their own and some need no torch: nothing here imports it.
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
        model: as the command line names it.
        weights: a file, or None for random ones.
        batches: how many there are.
    """

    folder: Path
    model: str
    weights: str | None
    batches: int

    @property
    def float_onnx(self) -> Path:
        return self.folder / "fp32.onnx"

    def calibration(self, start: int = 0, end: int | None = None) -> Iterator[NDArray[Any]]:
        """The batches from ``start`` on, the same at each call; one is in memory at a time."""
        for number in range(start, self.batches if end is None else end):
            yield np.load(self.folder / BATCHES / f"{number}.npy")


def write_case(folder: Path, model: str, weights: Path | None, batches: Iterable[NDArray[Any]]) -> Case:
    """Store the batches and what names the model; ``fp32.onnx`` is for the caller to write."""
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
    """What :func:`write_case` wrote."""
    return Case(folder, **json.loads((folder / CASE).read_text(encoding="utf-8")))
