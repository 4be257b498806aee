"""Accuracy, agreement and SQNR: compared with numbers calculated by hand, and independent of the batch size."""

from __future__ import annotations

import math

import pytest
import torch
from stub_runners import StubRunner, two_class_logits
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.measure.accuracy import Batch, Comparison, compare

SAME_SUMS = 1e-9
"""Tolerance for sums of doubles in another order."""


def test_accuracy_agreement_and_sqnr_by_hand() -> None:
    expected, found = two_class_logits(1, 2, -2, 3), two_class_logits(1, -1, -2, 4)
    labels = torch.tensor([1, 0, 0, 0])
    runners = [StubRunner("fp32", lambda _: expected, "fp32"), StubRunner("int8", lambda _: found)]
    result = compare(runners, [(torch.zeros(4, 1), labels)])
    assert result["fp32"] == Comparison(4, 50.0, 100.0, None)
    assert result["int8"].top1 == 75.0
    assert result["int8"].top1_agreement == 75.0
    # signal 1 + 4 + 4 + 9, noise 3**2 + 1**2
    assert result["int8"].sqnr_db == pytest.approx(10 * math.log10(18 / 10), rel=SAME_SUMS)
    assert result["int8"].accuracy == {"top1": 75.0, "images": 4}
    assert set(result["int8"].vs_fp32) == {"top1_agreement", "sqnr_db"}


def test_the_cut_into_batches_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(11, 4, generator=generator), torch.randint(4, (11,), generator=generator)
    runners = [StubRunner("fp32", precision="fp32"), StubRunner("int8", lambda x: (x * 4).round() / 4)]
    whole = compare(runners, [(x, labels)])["int8"]
    parts = compare(runners, zip(x.split(3), labels.split(3), strict=True))["int8"]
    assert (parts.top1, parts.top1_agreement, parts.images) == (whole.top1, whole.top1_agreement, 11)
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db, rel=SAME_SUMS)


def test_without_labels_there_is_agreement_but_no_accuracy() -> None:
    batch: Batch = (two_class_logits(1, -1), None)
    result = compare([StubRunner("fp32", precision="fp32"), StubRunner("int8", lambda x: x * 0.5)], [batch])["int8"]
    assert (result.top1, result.top1_agreement, result.images) == (None, 100.0, 2)


def test_outputs_without_classes_have_neither() -> None:
    runners = [StubRunner("fp32", precision="fp32"), StubRunner("int8", lambda x: x + 1)]
    result = compare(runners, [(torch.tensor([3.0, 4.0]), None)])["int8"]
    assert (result.top1, result.top1_agreement) == (None, None)
    assert result.sqnr_db == pytest.approx(10 * math.log10(25 / 2), rel=SAME_SUMS)


def test_decisions_themselves_have_none_either() -> None:
    runners = [StubRunner("fp32", lambda x: x > 0, precision="fp32"), StubRunner("int8", lambda x: x > 1)]
    result = compare(runners, [(torch.tensor([[3.0, 0.5]]), None)])["int8"]
    assert result.top1_agreement is None
    assert result.sqnr_db == pytest.approx(10 * math.log10(2), rel=SAME_SUMS)


def test_the_first_fp32_runner_is_the_reference_and_runs_once_a_batch() -> None:
    calls: list[str] = []

    def counted(name: str, offset: float) -> StubRunner:
        def run(x: Tensor) -> Tensor:
            calls.append(name)
            return x + offset

        return StubRunner(name, run, "int8" if name == "int8" else "fp32")

    runners = [counted("int8", 1), counted("fp32", 0), counted("fp32 elsewhere", 0.5)]
    result = compare(runners, [(two_class_logits(1, 2), None)] * 2)
    assert sorted(calls) == sorted(r.name for r in runners for _ in range(2))
    assert result["fp32"].sqnr_db is None
    assert result["fp32 elsewhere"].sqnr_db is not None


def test_several_inputs_are_passed_on() -> None:
    runner = StubRunner("fp32", lambda a, b: a + b, "fp32")
    assert compare([runner], [((two_class_logits(1), two_class_logits(2)), None)])["fp32"].images == 1


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    batches: list[Batch] = [(two_class_logits(1, 2), None), (two_class_logits(3), None)]
    compare([StubRunner("fp32", precision="fp32")], batches, progress=lambda *now: told.append(now), total=3)
    assert told == [("accuracy", 2, 3), ("accuracy", 3, 3)]


def test_no_float_runner_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot compare with float32\n.*none of the runners is: int8"):
        compare([StubRunner("int8")], [])


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="there is not one image"):
        compare([StubRunner("fp32", precision="fp32")], [])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    runners = [StubRunner("fp32", precision="fp32"), StubRunner("int8", lambda x: x * value)]
    with pytest.raises(InputError, match="int8 gave NaN or infinite logits"):
        compare(runners, [(two_class_logits(1), None)])


def test_labels_of_another_number_than_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"labels of shape \(3,\) for logits of shape \(2, 2\)"):
        compare([StubRunner("fp32", precision="fp32")], [(two_class_logits(1, 2), torch.zeros(3, dtype=torch.int64))])
