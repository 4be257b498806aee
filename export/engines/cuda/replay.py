"""CUDA graphs: the calls for a small batch of a repeated shape are recorded once and replayed as one launch.

For a small batch, launching a kernel takes longer than its computation. A recorded graph reads its own copy of the
inputs and writes its own outputs; both are copied at every replay, and callers wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Run = Callable[..., Any]

LARGEST_BATCH = 16
"""Largest batch that is recorded; with larger batches the kernels take longer than their launches."""
REPEATS = 3
"""Number of calls with one input shape, of which the last is recorded."""
KEPT = 4
"""Largest number of recorded shapes; each keeps the memory of its activations."""


class Replays:
    """Calls a function, or replays it.

    Args:
        run: function from tensors to nested tensors that only launches kernels.
        record: returns a function that replays ``run`` for tensors of the given shapes and types.

    Attributes:
        recorded: functions that replay, by shapes and types of the inputs.
        notes: sentences on calls that could not be recorded; ``run`` is called for them.
    """

    def __init__(self, run: Run, record: Callable[[Run, tuple[Tensor, ...]], Run] | None = None) -> None:
        self._run, self._record = run, record or recorded_graph
        self.recorded: dict[object, Run] = {}
        self.notes: list[str] = []
        self._calls: dict[object, int] = {}
        self._lock = threading.Lock()

    def __call__(self, *inputs: Any) -> Any:
        if not _is_small(inputs):
            return self._run(*inputs)
        key = tuple((x.shape, x.stride(), x.dtype) for x in inputs)
        with self._lock:
            replay = self.recorded.get(key) or self._counted(key, inputs)
            return self._run(*inputs) if replay is None else replay(*inputs)

    def _counted(self, key: object, inputs: tuple[Tensor, ...]) -> Run | None:
        if len(self._calls) > 64:
            self._calls.clear()
        self._calls[key] = calls = self._calls.get(key, 0) + 1
        if calls < REPEATS:
            return None
        while len(self.recorded) >= KEPT:
            self.recorded.pop(next(iter(self.recorded)))
        try:
            replay = self._record(self._run, inputs)
        except RuntimeError as error:  # code that waits for the CPU or copies from it cannot be recorded
            self.notes.append(f"a batch of {inputs[0].shape[0]} is not replayed: {str(error).splitlines()[0]}")
            replay = self._run
        self.recorded[key] = replay
        return replay


def _is_small(inputs: tuple[Any, ...]) -> bool:
    if not inputs or not all(isinstance(x, Tensor) and x.dim() > 0 for x in inputs):
        return False
    largest: int = max(x.shape[0] for x in inputs)
    return largest <= LARGEST_BATCH


def recorded_graph(run: Run, inputs: tuple[Tensor, ...]) -> Run:
    """Record ``run`` as a CUDA graph for tensors like ``inputs``; the graph is replayed on the caller's stream."""
    held = [x.clone() for x in inputs]
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # kernels are compiled, and memory is found, before anything is recorded
        run(*held)
    torch.cuda.current_stream().wait_stream(beside)
    graph, done = torch.cuda.CUDAGraph(), torch.cuda.Event()
    with torch.cuda.graph(graph):
        outputs = run(*held)

    def replay(*given: Tensor) -> Any:
        torch.cuda.current_stream().wait_event(done)
        for own, x in zip(held, given, strict=True):
            own.copy_(x)
        graph.replay()
        copies = pytree.tree_map(lambda y: y.clone() if isinstance(y, Tensor) else y, outputs)
        done.record()
        return copies

    return replay
