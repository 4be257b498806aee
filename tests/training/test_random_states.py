"""Random generators continue from stored states, which are plain data."""

from __future__ import annotations

import random

import numpy as np
import torch

from fxpasses.training.runs.random_states import random_states, set_random_states


def drawn() -> list[float]:
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.rand()),
        float(np.random.randn()),
        float(torch.rand(())),
    ]


def test_the_same_numbers_again() -> None:
    drawn()
    states = random_states()
    first = drawn()
    drawn()
    set_random_states(states)
    assert drawn() == first


def test_they_are_numbers_and_tensors() -> None:
    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(map(plain, value.values()))
        return (
            all(map(plain, value))
            if isinstance(value, list)
            else isinstance(value, (int, float, torch.Tensor, type(None)))
        )

    assert plain(random_states())
