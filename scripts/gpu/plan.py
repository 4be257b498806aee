"""The plan of measurements, the most important first, with the time that each may take.

A card may be available for minutes only. So every row has an expected number of seconds. A row that no longer fits
into the budget is skipped and named; by then, all earlier results have been written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

NETS = ("resnet50", "resnet18", "mobilenet_v2")
BATCHES = (64, 256, 8, 1)
"""Batch sizes; the ones that the published claim is about come first."""

INT8 = "fxpasses int8"
FP16 = "torch fp16, compiled"
COMPILED = {
    "torch fp16, compiled": "float16",
    "torch bf16, compiled": "bfloat16",
    "torch TF32, compiled": "float32",
}
EAGER = {"torch fp16, cuDNN": "float16", "torch fp32, cuDNN": "float32"}
ONNXRUNTIME = {"onnxruntime CUDA fp16": ("fp16", "CUDAExecutionProvider")} | {
    "onnxruntime CUDA QDQ": ("qdq", "CUDAExecutionProvider"),
    "onnxruntime TensorRT QDQ": ("tensorrt", "TensorrtExecutionProvider"),
}

EXPECTED_S = {"fxpasses": 25.0, "compiled": 40.0, "cuDNN": 4.0, "onnxruntime": 10.0, "TensorRT": 30.0}
"""Expected seconds of a row, by a word in its name; these are guesses, not measured on any card."""
SHORTEST_S = 2.0


@dataclass(frozen=True)
class Work:
    """One thing to measure: ``kind`` is ``row``, ``exact``, ``product``, ``sparse`` or ``layers``."""

    kind: str
    net: str = ""
    batch: int = 0
    rival: str = ""

    @property
    def name(self) -> str:
        return " ".join(str(part) for part in (self.kind, self.net, self.rival, self.batch or "") if part)

    @property
    def expected_s(self) -> float:
        found = [seconds for word, seconds in EXPECTED_S.items() if word in self.rival]
        return max(found, default=SHORTEST_S)


def everything(nets: tuple[str, ...], batches: tuple[int, ...], exact_nets: tuple[str, ...]) -> list[Work]:
    """All measurements, the most important first."""
    found = [Work("exact", net) for net in exact_nets]
    found += [Work("product")]
    cells = [(net, batch) for net in nets for batch in batches]
    first = [cell for cell in cells if cell[0] == nets[0]][:2]
    for net, batch in first:
        found += [Work("row", net, batch, INT8), Work("row", net, batch, FP16)]
    found += [Work("layers", *first[0])]
    rest = [cell for cell in cells if cell not in first]
    found += [Work("row", net, batch, INT8) for net, batch in rest]
    found += [Work("row", net, batch, rival) for rival in EAGER for net, batch in cells]
    found += [Work("row", net, batch, rival) for rival in ONNXRUNTIME for net, batch in cells]
    found += [Work("sparse")]
    found += [Work("row", net, batch, FP16) for net, batch in rest]
    found += [Work("row", net, batch, rival) for rival in COMPILED if rival != FP16 for net, batch in cells]
    return found


@dataclass
class Budget:
    """Number of seconds for all measurements together."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def left(self) -> float:
        return self.seconds - (self.clock() - self.started)

    def why_not(self, work: Work) -> str | None:
        """Why a measurement can no longer be started; None if it can."""
        if work.expected_s <= self.left:
            return None
        left = max(self.left, 0)
        return f"it is expected to take {work.expected_s:.0f} s, and {left:.0f} of {self.seconds:.0f} are left"
