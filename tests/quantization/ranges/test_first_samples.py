"""The first samples are kept, and no sample is lost."""

from __future__ import annotations

import torch

from fxpasses.quantization.ranges.first_samples import first_samples


def test_whole_batches_until_there_are_enough_and_all_of_them_once() -> None:
    batches = [torch.full((4, 2), float(i)) for i in range(5)]
    first, every = first_samples(iter(batches), 6)
    assert [int(b[0, 0]) for b in first] == [0, 1]
    assert [int(b[0, 0]) for b in every] == [0, 1, 2, 3, 4]


def test_tuples_count_by_their_first_input() -> None:
    first, _ = first_samples([(torch.zeros(3, 1), torch.zeros(3))] * 4, 4)
    assert len(first) == 2


def test_too_few_and_none() -> None:
    first, every = first_samples([torch.zeros(2, 1)], 100)
    assert len(first) == 1 and len(list(every)) == 1
    first, every = first_samples([torch.zeros(2, 1)], 0)
    assert first == [] and len(list(every)) == 1
