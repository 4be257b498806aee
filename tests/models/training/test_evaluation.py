"""Top-1 accuracy."""

from __future__ import annotations

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.training.evaluation import evaluate_top1


def test_top1_is_in_percent_over_all_batches() -> None:
    logits = torch.eye(3)
    batches = [(logits, torch.tensor([0, 1, 1])), (logits[:1], torch.tensor([0]))]
    assert evaluate_top1(lambda x: x, batches) == 75.0


def test_data_without_labels_is_refused() -> None:
    with pytest.raises(InputError, match="the data has no labels"):
        evaluate_top1(lambda x: x, [(torch.eye(2), None)])


def test_no_data_is_refused() -> None:
    with pytest.raises(InputError, match="there is not one image"):
        evaluate_top1(lambda x: x, [])
