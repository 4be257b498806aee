"""Metrics of torchmetrics: their input format, and results for cases calculated by hand."""

from __future__ import annotations

import sys

import pytest
import torch
from metric_runs import measured
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.measure.metrics import metric_named


def one_hot(classes: Tensor, count: int) -> Tensor:
    """Logits ``[B, count, ...]`` whose highest ones are at these indices."""
    return torch.nn.functional.one_hot(classes, count).movedim(-1, 1).float()


@pytest.mark.parametrize("batch", [1, 2])
def test_mean_iou(batch: int) -> None:
    found = torch.tensor([[[0, 0], [1, 1]], [[0, 1], [2, 2]]])
    known = torch.tensor([[[0, 0], [1, 0]], [[0, 1], [2, 1]]])
    # class 0: 3 of 4; class 1: 2 of 4; class 2: 1 of 2
    assert measured("miou", one_hot(found, 3), known, batch) == pytest.approx(100 * (3 / 4 + 2 / 4 + 1 / 2) / 3)


@pytest.mark.parametrize("unlabelled", [255, -1, -100])
def test_pixels_without_a_class_are_left_out(unlabelled: int) -> None:
    found, known = torch.tensor([[[0, 0], [1, 1]]]), torch.tensor([[[0, unlabelled], [1, 0]]])
    assert measured("miou", one_hot(found, 2), known) == pytest.approx(50.0)
    with pytest.raises(InputError, match="all are left out"):
        measured("miou", one_hot(found, 2), torch.full((1, 2, 2), unlabelled))


def test_small_logits_are_scaled_to_the_labels() -> None:
    known = torch.tensor([[0, 1]]).repeat_interleave(2, 0).repeat_interleave(2, 1)[None]
    assert measured("miou", one_hot(torch.tensor([[[0, 1]]]), 2), known) == pytest.approx(100.0)


def test_labels_that_are_no_classes_of_pixels() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    for labels in (torch.zeros(1, 2, 2), torch.zeros(1, 3, 2, 2, dtype=torch.int64)):
        with pytest.raises(InputError, match="miou compares logits"):
            measured("miou", logits, labels)
    with pytest.raises(InputError, match="the label 3"):
        measured("miou", logits, torch.full((1, 2, 2), 3))
    with pytest.raises(InputError, match="only images are scaled"):
        measured("miou", torch.zeros(1, 3, 4), torch.zeros(1, 8, dtype=torch.int64))


@pytest.mark.parametrize("batch", [1, 4])
def test_f1_of_classes(batch: int) -> None:
    found, known = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    # class 0: precision 1/2, recall 1; class 1: precision 1, recall 2/3
    assert measured("f1", one_hot(found, 2), known, batch) == pytest.approx(100 * (2 / 3 + 4 / 5) / 2)


def test_f1_of_several_answers() -> None:
    output, known = torch.tensor([[2.0, -1], [3, 1], [-1, 1]]), torch.tensor([[1, 0], [0, 1], [0, 1]])
    assert measured("f1", output, known) == pytest.approx(100 * (2 / 3 + 1) / 2)
    with pytest.raises(InputError, match="0 and 1 for each output"):
        measured("f1", output, known[:, :1])


def test_word_errors() -> None:
    steps = torch.tensor([[1, 1, 0, 1, 2], [3, 0, 0, 0, 0]])
    output = torch.nn.functional.one_hot(steps, 4).float()
    assert measured("wer", output, torch.tensor([[1, 1, 3], [3, -100, -100]])) == pytest.approx(25.0)
    with pytest.raises(InputError, match=r"wer takes logits \[B, T, tokens\]"):
        measured("wer", output, torch.zeros(2, dtype=torch.int64))


def test_mean_average_precision() -> None:
    # Of each image: centre x, y, width, height, and scores of two classes.
    right = [20.0, 20, 20, 20, 0.9, 0.0]
    wrong, twin = [60.0, 60, 10, 10, 0.0, 0.8], [21.0, 20, 20, 20, 0.5, 0.0]
    output = torch.tensor([[right, twin, wrong]]).transpose(1, 2)
    labels = torch.tensor([[[0.0, 10, 10, 30, 30], [-1, 0, 0, 0, 0]]])
    assert measured("map", output, labels) == pytest.approx(100.0)
    both = torch.tensor([[[0.0, 10, 10, 30, 30], [1, 80, 80, 90, 90]]])
    assert measured("map", output, both) == pytest.approx(50.0)
    with pytest.raises(InputError, match=r"(?s)map takes outputs \[B, 4 \+ classes, N\].*path/file.py:function"):
        measured("map", output, torch.zeros(1, 4))


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.setitem(sys.modules, "torchmetrics.classification", None)
    with pytest.raises(InputError, match=r'(?s)cannot import torchmetrics.*pip install "fxpasses\[metrics\]"'):
        metric_named("miou").start().add(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))
