"""DataLoaders of (images, labels) can calibrate without a change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.export.metadata import qparams_hash
from fxpasses.quantization.ranges.labelled_batches import without_labels
from fxpasses.signature.examples import specs_of

A, B, LABELS = torch.zeros(2, 3), torch.ones(2, 4), torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("batch", "count", "expected"),
    [
        (A, 1, (A,)),
        ((A,), 1, (A,)),
        ([A, LABELS], 1, (A,)),
        (((A,), LABELS), 1, (A,)),
        ((A, B), 2, (A, B)),
        ((A, B, LABELS), 2, (A, B)),
        ([[A, B], LABELS], 2, (A, B)),
        ((A, B, LABELS, LABELS), 2, (A, B, LABELS, LABELS)),
    ],
    ids=["alone", "tuple", "labelled", "nested", "two", "two, labelled", "two, nested", "too many"],
)
def test_labels_are_told_from_inputs_by_their_number(batch: Any, count: int, expected: tuple[Any, ...]) -> None:
    found = without_labels(batch, ["a", "b"][:count], specs_of((A, B)[:count]))
    assert len(found) == len(expected)
    assert all(x is y for x, y in zip(found, expected, strict=True))


def test_labels_in_dicts_are_left_out() -> None:
    names = ["a", "b"]
    assert without_labels({"a": A, "b": B, "labels": LABELS}, names, specs_of((A, B))).keys() == {"a", "b"}
    assert without_labels({"a": A, "labels": LABELS}, ["a", "labels"], specs_of((A, LABELS))).keys() == {"a", "labels"}
    assert without_labels(({"a": A, "b": B}, LABELS), names, specs_of((A, B))).keys() == {"a", "b"}


@pytest.mark.parametrize("pair", [([A, B], {"c": A}), ({"a": A, "b": B}, LABELS), ([A, B], LABELS)])
def test_a_pair_that_the_model_takes_has_no_labels(pair: tuple[Any, Any]) -> None:
    found = without_labels(pair, ["maps", "extra"], specs_of(pair))
    assert len(found) == 2 and found[0] is pair[0] and found[1] is pair[1]


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.left(a)) + torch.relu(self.right(b))


def test_a_data_loader_gives_what_its_inputs_alone_give() -> None:
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).eval(), torch.randn(12, 3)
    loader = DataLoader(TensorDataset(images, torch.arange(12)), batch_size=4)
    labelled = fx.quantize(model, images[:2], loader)
    assert qparams_hash(labelled) == qparams_hash(fx.quantize(model, images[:2], images.split(4)))


def test_several_inputs_with_labels() -> None:
    torch.manual_seed(0)
    model, a, b = TwoInputs().eval(), torch.randn(12, 3), torch.randn(12, 3)
    loader = DataLoader(TensorDataset(a, b, torch.arange(12)), batch_size=4)
    labelled = fx.quantize(model, (a[:2], b[:2]), loader)
    plain = fx.quantize(model, (a[:2], b[:2]), list(zip(a.split(4), b.split(4), strict=True)))
    assert qparams_hash(labelled) == qparams_hash(plain)


def test_what_is_no_batch_is_refused_with_both_numbers() -> None:
    with pytest.raises(InputError, match=r"(?s)it has 4 inputs, the model takes 2.*\(inputs, labels\)"):
        fx.quantize(TwoInputs().eval(), (torch.zeros(2, 3), torch.zeros(2, 3)), [(A, B, LABELS, LABELS)])
