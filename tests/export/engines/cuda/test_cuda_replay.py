"""CUDA graphs: which batches are recorded, and when. Recording itself needs a card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fxpasses.export.engines.cuda.replay import KEPT, LARGEST_BATCH, REPEATS, Replays


class Recorder:
    """Replaces the recording of a graph: counts the calls, and returns the results of the function itself."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, ...]] = []
        self.replayed = 0

    def __call__(self, run: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
        self.recorded.append(tuple(inputs[0].shape))

        def replay(*given: Tensor) -> Any:
            self.replayed += 1
            return run(*given)

        return replay


def test_a_small_batch_that_keeps_coming_is_recorded_once() -> None:
    recorder = Recorder()
    replays = Replays(lambda x: x + 1, recorder)
    x = torch.zeros(2, 3)
    for _ in range(REPEATS + 2):
        assert torch.equal(replays(x), x + 1)
    assert recorder.recorded == [(2, 3)] and recorder.replayed == 3


def test_large_batches_and_what_is_no_tensor_are_run() -> None:
    recorder = Recorder()
    replays = Replays(lambda *given: given[0], recorder)
    for given in ((torch.zeros(LARGEST_BATCH + 1, 2),), (3,), (torch.tensor(1.0),), (None, torch.zeros(1))):
        for _ in range(REPEATS + 1):
            assert replays(*given) is given[0]
    assert recorder.recorded == []


def test_what_cannot_be_recorded_is_run_and_noted() -> None:
    def refuse(run: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    replays = Replays(lambda x: x, refuse)
    x = torch.zeros(2, 3)
    for _ in range(REPEATS + 2):
        assert replays(x) is x
    assert replays.notes == [
        "a batch of 2 is not replayed: CUDA error: operation not permitted when stream is capturing"
    ]


def test_few_shapes_are_kept() -> None:
    recorder = Recorder()
    replays = Replays(lambda x: x, recorder)
    for size in range(1, KEPT + 3):
        for _ in range(REPEATS):
            replays(torch.zeros(1, size))
    assert len(recorder.recorded) == KEPT + 2 and len(replays.recorded) == KEPT


def test_layout_and_type_are_part_of_the_shape() -> None:
    recorder = Recorder()
    replays = Replays(lambda x: x, recorder)
    x = torch.zeros(1, 2, 3, 4)
    for one in (x, x.contiguous(memory_format=torch.channels_last), x.double()):
        for _ in range(REPEATS):
            replays(one)
    assert len(recorder.recorded) == 3
