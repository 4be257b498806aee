"""Labels are classes of the model."""

from __future__ import annotations

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.signature.label_check import as_classes, require_classes


def test_classes_pass() -> None:
    require_classes(torch.tensor([0, 9]), 10, "data")
    require_classes(torch.tensor([], dtype=torch.int64), 10, "data")


@pytest.mark.parametrize(("label", "said"), [(10, "the label 10"), (-1, "the label -1")])
def test_both_numbers_are_told(label: int, said: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)data has {said}.*10 classes apart, which are 0 to 9"):
        require_classes(torch.tensor([0, label]), 10, "data")


def test_whole_numbers_of_any_type_become_indices() -> None:
    for dtype in (torch.uint8, torch.int32, torch.float16, torch.float64, torch.bool):
        found = as_classes(torch.ones(3, dtype=dtype), 3, "batch 0")
        assert (found.dtype, found.tolist()) == (torch.int64, [1, 1, 1])


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), 1e300])
def test_other_numbers(value: float) -> None:
    with pytest.raises(InputError, match="not whole numbers"):
        as_classes(torch.tensor([value], dtype=torch.float64), 1, "batch 0")


def test_one_for_each_input() -> None:
    with pytest.raises(InputError, match="batch 0 has 2 labels for 3 inputs"):
        as_classes(torch.zeros(2), 3, "batch 0")
