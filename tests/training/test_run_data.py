"""Place of a run in its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.training.runs.run_data import RunData


def pair(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[float(number)]]), torch.tensor([0])


def epoch_of(epoch: int) -> Iterator[Any]:
    return (pair(10 * epoch + k) for k in range(3))


def test_epochs_follow_each_other() -> None:
    data = RunData(epoch_of, 3)
    assert [float(data.next()[0]) for _ in range(7)] == [0, 1, 2, 10, 11, 12, 20]
    assert (data.epoch, data.taken, data.begins_epoch) == (2, 1, False)


def test_it_goes_on_where_it_was() -> None:
    data = RunData(epoch_of, 3)
    data.go_to(1, 2)
    assert [float(data.next()[0]) for _ in range(2)] == [12, 20]


def test_a_list_is_every_epoch() -> None:
    data = RunData([pair(1), pair(2)])
    assert data.steps_per_epoch == 2 and [float(data.next()[0]) for _ in range(3)] == [1, 2, 1]


def test_an_epoch_that_ends_early_is_one() -> None:
    data = RunData(epoch_of, 5)
    assert [float(data.next()[0]) for _ in range(4)] == [0, 1, 2, 10]


def test_data_without_a_length() -> None:
    with pytest.raises(InputError, match="without a length"):
        RunData(epoch_of)


@pytest.mark.parametrize("loader", [[], lambda epoch: []])
def test_no_batch(loader: Any) -> None:
    with pytest.raises(InputError, match="gives no batch"):
        RunData(loader, 0 if loader == [] else 2).next()


@pytest.mark.parametrize("batch", [torch.zeros(2), (torch.zeros(2),), {"x": torch.zeros(2)}])
def test_a_batch_without_labels(batch: Any) -> None:
    with pytest.raises(InputError, match=r"\(inputs, labels\), on \(input, input, ..., labels\), or on a dict"):
        RunData([batch]).next()


def test_every_form_of_labelled_batches() -> None:
    x, z, y = torch.zeros(2), torch.ones(2), torch.arange(2)
    pairs: list[Any] = [(x, y), [x, y]]
    triples: list[Any] = [(x, z, y), ((x, z), y)]
    assert all(RunData([batch]).next() == (x, y) for batch in pairs)
    assert all(RunData([batch]).next() == ((x, z), y) for batch in triples)
    for key in ("labels", "label"):
        assert RunData([{"x": x, key: y, "z": z}]).next() == ({"x": x, "z": z}, y)
