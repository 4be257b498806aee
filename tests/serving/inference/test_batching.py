"""The queue of a session, tested with a function instead of the session."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fxpasses.serving.inference.batching import Batcher
from fxpasses.serving.inference.refusal import Refusal

Array = NDArray[Any]


class Seen:
    """A model that doubles its inputs and notes them."""

    def __init__(self, seconds: float = 0.0, wrong: float | None = None) -> None:
        self.batches: list[int] = []
        self.unanswered = 0
        self.threads = set[str]()
        self._seconds, self._wrong = seconds, wrong

    def run(self, arrays: list[Array]) -> list[Array]:
        self.threads.add(threading.current_thread().name)
        time.sleep(self._seconds)
        self.batches.append(len(arrays[0]))
        if self._wrong is not None and (arrays[0] == self._wrong).any():
            raise Refusal(400, "it is wrong")
        return [2 * arrays[0]]

    def batch_done(self, rows: int, seconds: float) -> None: ...

    def waiting(self, requests: int) -> None:
        self.unanswered = max(self.unanswered, requests)


def with_batcher(seen: Seen, work: Callable[[Batcher], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    """Start a batcher, return the result of ``work`` with it, and close it."""

    async def all_of_it() -> Any:
        given: dict[str, Any] = {"together": True, "max_batch": 4, "delay_s": 0.0, "queue": 100, "watch": seen}
        batcher = Batcher(seen.run, **(given | settings))
        batcher.start()
        try:
            return await work(batcher)
        finally:
            await batcher.close()

    return asyncio.run(asyncio.wait_for(all_of_it(), 20))


def rows(value: float, count: int = 1, width: int = 3) -> list[Array]:
    return [np.full((count, width), value, np.float32)]


def test_what_waits_is_computed_together_and_given_back_apart() -> None:
    seen = Seen(seconds=0.02)

    async def work(batcher: Batcher) -> list[list[Array]]:
        return await asyncio.gather(*(batcher.submit(rows(value, count=1 + value % 2)) for value in range(9)))

    answers = with_batcher(seen, work)
    assert [float(answer[0].mean()) for answer in answers] == [2 * value for value in range(9)]
    assert [len(answer[0]) for answer in answers] == [1 + value % 2 for value in range(9)]
    assert len(seen.batches) < 9 and max(seen.batches) <= 4 and sum(seen.batches) == 13
    assert len(seen.threads) == 1 and seen.unanswered == 9


def test_other_shapes_are_not_put_together() -> None:
    seen = Seen(seconds=0.02)

    async def work(batcher: Batcher) -> list[list[Array]]:
        return await asyncio.gather(*(batcher.submit(rows(value, width=2 + value % 2)) for value in range(6)))

    assert [answer[0].shape for answer in with_batcher(seen, work)] == [(1, 2), (1, 3)] * 3


def test_models_of_fixed_size_get_one_request_at_a_time() -> None:
    seen = Seen()

    async def work(batcher: Batcher) -> list[list[Array]]:
        return await asyncio.gather(*(batcher.submit(rows(value, count=2)) for value in range(4)))

    assert len(with_batcher(seen, work, together=False)) == 4
    assert seen.batches == [2, 2, 2, 2]


def test_a_batch_is_closed_at_its_deadline() -> None:
    async def work(batcher: Batcher) -> float:
        began = time.monotonic()
        await batcher.submit(rows(1))
        return time.monotonic() - began

    assert with_batcher(Seen(), work, delay_s=0.1) >= 0.1


def test_a_full_batch_does_not_wait() -> None:
    async def work(batcher: Batcher) -> float:
        began = time.monotonic()
        await asyncio.gather(*(batcher.submit(rows(value)) for value in range(4)))
        return time.monotonic() - began

    assert with_batcher(Seen(), work, delay_s=600) < 300


def test_what_is_wrong_harms_nobody_else() -> None:
    seen = Seen(wrong=2)

    async def work(batcher: Batcher) -> list[Any]:
        asked = (batcher.submit(rows(value)) for value in range(4))
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = with_batcher(seen, work, delay_s=0.5)
    assert isinstance(answers[2], Refusal)
    assert [float(answers[i][0][0, 0]) for i in (0, 1, 3)] == [0, 2, 6]


def test_a_defect_is_told_to_whoever_asked_and_the_next_one_is_answered() -> None:
    class Broken(Seen):
        def run(self, arrays: list[Array]) -> list[Array]:
            if arrays[0].max() == 1:
                raise ZeroDivisionError
            return super().run(arrays)

    async def work(batcher: Batcher) -> list[Array]:
        with pytest.raises(ZeroDivisionError):
            await batcher.submit(rows(1))
        return await batcher.submit(rows(3))

    assert with_batcher(Broken(), work)[0][0, 0] == 6


def test_more_than_the_queue_holds_is_refused_at_once() -> None:
    async def work(batcher: Batcher) -> list[Any]:
        asked = (batcher.submit(rows(value)) for value in range(5))
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = with_batcher(Seen(seconds=0.05), work, queue=3)
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert len(refused) == 2 and all(refusal.status == 429 and refusal.retry_after_s for refusal in refused)


def test_whoever_gave_up_is_not_computed() -> None:
    seen = Seen(seconds=0.1)

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.submit(rows(1)))
        await asyncio.sleep(0.03)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(batcher.submit(rows(2)), 0.01)
        await first

    with_batcher(seen, work)
    assert sum(seen.batches) == 1


def test_closing_answers_what_was_taken_in() -> None:
    async def work(batcher: Batcher) -> list[list[Array]]:
        asked = [asyncio.create_task(batcher.submit(rows(value))) for value in range(6)]
        await asyncio.sleep(0.01)
        await batcher.close()
        with pytest.raises(Refusal):
            await batcher.submit(rows(7))
        return [await task for task in asked]

    assert len(with_batcher(Seen(seconds=0.02), work, delay_s=1)) == 6
