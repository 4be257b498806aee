"""Times of calls: by CUDA events on a GPU, by the clock elsewhere."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

WARM_UP, ROUNDS = 3, 20
"""Numbers of untimed and timed calls; the untimed ones compile, measure tiles and record graphs."""


def milliseconds(call: Callable[[], object], device: str, rounds: int = ROUNDS) -> float:
    """The median time of single calls in milliseconds, each from launch to end."""
    for _ in range(WARM_UP if device.startswith("cuda") else 1):
        call()
    if not device.startswith("cuda"):
        started = time.perf_counter()
        call()
        return (time.perf_counter() - started) * 1e3
    torch.cuda.synchronize()
    pairs = []
    for _ in range(rounds):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        pairs.append((begin, end))
    torch.cuda.synchronize()
    took: float = statistics.median(begin.elapsed_time(end) for begin, end in pairs)
    return took
