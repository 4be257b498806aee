"""Metrics by name: compared with numbers calculated by hand, and independent of the batches."""

from __future__ import annotations

import math

import pytest
import torch
from metric_runs import measured
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.measure.metric_sums import CLEAREST_DB
from fxpasses.measure.metrics import METRICS, metric_named, of_output

LOGITS = torch.tensor([[3.0, 2, 1, 0, 0, 0], [0, 1, 2, 3, 4, 5], [0, 9, 8, 7, 6, 5]])


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_top1_and_top5(batch: int) -> None:
    assert measured("top1", LOGITS, torch.tensor([0, 0, 0]), batch) == pytest.approx(100 / 3)
    assert measured("top5", LOGITS, torch.tensor([1, 0, 2]), batch) == pytest.approx(200 / 3)


def test_decisions_are_counted_at_every_place() -> None:
    assert measured("top1", torch.stack([LOGITS, LOGITS]).transpose(1, 2), torch.tensor([[0, 5, 1], [0, 5, 0]])) == (
        pytest.approx(500 / 6)
    )


@pytest.mark.parametrize("batch", [1, 4])
def test_differences(batch: int) -> None:
    output, labels = torch.tensor([[1.0], [2], [3], [4]]), torch.tensor([1.0, 4, 3, 1])
    assert measured("mse", output, labels, batch) == pytest.approx(13 / 4)
    assert measured("mae", output, labels, batch) == pytest.approx(5 / 4)
    assert measured("psnr", output, labels, batch) == pytest.approx(10 * math.log10(9 / (13 / 4)))


def test_the_psnr_of_equal_images_is_a_number() -> None:
    assert measured("psnr", torch.arange(3.0), torch.arange(3.0)) == CLEAREST_DB
    with pytest.raises(InputError, match="all labels are the same number"):
        measured("psnr", torch.arange(3.0), torch.zeros(3))


@pytest.mark.parametrize(
    ("name", "output", "labels", "message"),
    [
        ("top1", LOGITS, None, "the data has no labels"),
        ("top1", LOGITS, ["cat"], "its labels are a list"),
        (
            "top1",
            LOGITS,
            torch.zeros(3, 2, dtype=torch.int64),
            r"labels of shape \[3, 2\] for outputs of shape \[3, 6\]",
        ),
        ("top1", LOGITS, torch.tensor([0, 0, 6]), "the label 6"),
        ("mse", LOGITS, torch.zeros(3), r"(?s)labels of shape \[3\] for outputs of shape \[3, 6\].*mse@KEY"),
    ],
)
def test_what_cannot_be_compared(name: str, output: Tensor, labels: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measured(name, output, labels)


def test_the_direction_and_unit_of_each() -> None:
    assert {name for name, metric in METRICS.items() if metric.falls} == {"mse", "mae", "wer"}
    assert metric_named("miou").what_is_lost == "points"
    assert (metric_named("psnr").what_is_lost, metric_named("mse").what_is_lost) == ("dB", "mse")
    assert metric_named("mse").to_json(0.5) == {
        **{"name": "mse", "title": "mse", "value": 0.5, "unit": "", "falls": True, "output": "output"}
    }


def test_an_unknown_metric_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"(?s)unknown metric 'iou'.*top1, top5, mse.*file.py:function"):
        metric_named("iou")


def test_an_output_is_named_by_key_or_number() -> None:
    keys = ["out", "aux"]
    assert (of_output(METRICS["miou"], None, keys).index, of_output(METRICS["miou"], None, keys).key) == (0, "out")
    for wanted in ("aux", "1"):
        found = of_output(METRICS["miou"], wanted, keys)
        assert (found.index, found.key) == (1, "aux")
        assert found.measured((LOGITS, LOGITS[:1])) is not None
        assert len(found.measured((LOGITS, LOGITS[:1]))) == 1
    with pytest.raises(InputError, match=r"(?s)output 'aux2'.*are out, aux.*miou@out"):
        of_output(METRICS["miou"], "aux2", keys)
