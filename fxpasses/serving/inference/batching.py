"""Requests that wait at the same time are computed together.

One batch is computed at a time, on all the worker's threads. While it is, requests queue up; the next batch takes as
many of them as fit, in order, and is closed at latest ``delay_s`` after its first request came. Only requests of equal
shapes beside the batch go together. A batch that onnxruntime refuses is computed again one by one, so that an input it
cannot compute harms nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .refusal import Refusal

Array = np.ndarray[Any, Any]
Key = tuple[tuple[int, ...], ...]


class Watch(Protocol):
    """Receiver of the batcher's events, such as the server's metrics."""

    def batch_done(self, rows: int, seconds: float) -> None: ...

    def waiting(self, requests: int) -> None: ...


@dataclass
class _Job:
    arrays: list[Array]
    rows: int
    key: Key
    answer: asyncio.Future[list[Array]]
    came: float = field(default_factory=time.monotonic)


class Batcher:
    """The queue before one session.

    Args:
        run: computes outputs from one value of each input; it is called in its own thread, one call at a time.
        together: whether inputs may be joined along the first dimension.
        max_batch: largest number of rows in a batch.
        delay_s: time for which the first request of a batch waits for others.
        queue: largest number of accepted requests without an answer.
        watch: receives every batch's event.
    """

    def __init__(
        self,
        run: Callable[[list[Array]], list[Array]],
        *,
        together: bool,
        max_batch: int,
        delay_s: float,
        queue: int,
        watch: Watch,
    ) -> None:
        self._run, self._watch = run, watch
        self._together, self._max_batch, self._delay_s, self._queue = together, max_batch, delay_s, queue
        self._jobs: deque[_Job] = deque()
        self._unanswered = 0
        self._news = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._task: asyncio.Task[None] | None = None
        self._closing = self._hurries = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to compute; called once, in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._compute_for_ever())

    def hurry(self) -> None:
        """Stop waiting for more requests; may be called from any thread, or from a signal handler."""
        self._hurries = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    async def close(self) -> None:
        """Answer all accepted requests, then stop."""
        self._closing = True
        self._news.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def submit(self, arrays: list[Array]) -> list[Array]:
        """The outputs for one value of each input, computed alone or with others.

        Raises:
            Refusal: 429 where too many wait already; what onnxruntime says of an input it does not compute.
        """
        if self._unanswered >= self._queue or self._closing:
            raise Refusal(429, f"{self._queue} requests are waiting already; try again", retry_after_s=1)
        rows = len(arrays[0]) if self._together else 1
        key = tuple(tuple(array.shape[1 if self._together else 0 :]) for array in arrays)
        job = _Job(arrays, rows, key, asyncio.get_running_loop().create_future())
        self._count(1)
        self._jobs.append(job)
        self._news.set()
        try:
            return await job.answer
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._unanswered += more
        self._watch.waiting(self._unanswered)

    async def _compute_for_ever(self) -> None:
        while True:
            while not self._jobs:
                if self._closing:
                    return
                self._news.clear()
                await self._news.wait()
            await self._wait_for_others(self._jobs[0])
            batch = [job for job in self._next_batch() if not job.answer.done()]  # cancelled requests are not computed
            if batch:
                await self._compute(batch)

    async def _wait_for_others(self, first: _Job) -> None:
        """Wait until the batch is full, or until ``delay_s`` after its first request."""
        deadline = first.came + self._delay_s
        while self._together and not (self._closing or self._hurries) and self._rows_like(first) < self._max_batch:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except asyncio.TimeoutError:
                return

    def _rows_like(self, first: _Job) -> int:
        return sum(job.rows for job in self._jobs if job.key == first.key)

    def _next_batch(self) -> list[_Job]:
        """Take the first job and all later ones that fit off the queue, and return them."""
        first = self._jobs.popleft()
        batch, rows, left = [first], first.rows, deque[_Job]()
        for job in self._jobs:
            fits = self._together and job.key == first.key and rows + job.rows <= self._max_batch
            (batch if fits else left).append(job)
            rows += job.rows if fits else 0
        self._jobs = left
        return batch

    async def _compute(self, batch: list[_Job]) -> None:
        loop, started = asyncio.get_running_loop(), time.monotonic()
        try:
            answers = await loop.run_in_executor(self._thread, self._run_together, batch)
        except Refusal as refusal:
            if len(batch) == 1:
                _fail(batch[0], refusal)
                return
            for job in batch:
                await self._compute([job])
            return
        except Exception as error:  # noqa: BLE001 - a defect: it ends this request with 500, and not the server
            for job in batch:
                _fail(job, error)
            return
        self._watch.batch_done(sum(job.rows for job in batch), time.monotonic() - started)
        for job, answer in zip(batch, answers, strict=True):
            if not job.answer.done():
                job.answer.set_result(answer)

    def _run_together(self, batch: Sequence[_Job]) -> list[list[Array]]:
        if len(batch) == 1:
            return [self._run(batch[0].arrays)]
        arrays = [np.concatenate(parts) for parts in zip(*(job.arrays for job in batch), strict=True)]
        ends = np.cumsum([job.rows for job in batch])[:-1]
        split = [np.split(output, ends) for output in self._run(arrays)]
        return [list(parts) for parts in zip(*split, strict=True)]


def _fail(job: _Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)
