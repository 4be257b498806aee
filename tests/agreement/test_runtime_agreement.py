"""Agreement of two runners, and its text."""

from __future__ import annotations

import pytest
import torch
from stub_runners import StubRunner

from fxpasses.agreement.runtime_agreement import runtime_agreement
from fxpasses.errors import InputError
from fxpasses.reports.html.runtimes import runtimes
from fxpasses.reports.wording import agreement_text


def test_numbers() -> None:
    batches = [torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0, 0.0]])]
    found = runtime_agreement(StubRunner("a"), StubRunner("b", lambda x: x + torch.tensor([1.5, 0.0])), batches)
    assert (found.images, found.top1_agreement) == (2, 50.0)
    assert (found.max_abs_difference, found.max_abs_logit) == (1.5, 5.0)
    assert found.sqnr_db == pytest.approx(10.458, abs=1e-3)  # 10 log10(50 / 4.5)


def test_equal_logits_have_no_ratio() -> None:
    found = runtime_agreement(StubRunner("a"), StubRunner("b"), [torch.eye(2)]).to_json()
    assert found["sqnr_db"] is None
    assert agreement_text(found) == ("good", "the same class on 100.0 % of 2 images, equal logits")
    assert "all equal" in str(runtimes({"runtime_agreement": found}))


def test_levels() -> None:
    found = {"images": 50, "top1_agreement": 98.0, "sqnr_db": 40.0}
    assert agreement_text(found) == ("fair", "the same class on 98.0 % of 50 images, logits 40.0 dB apart")
    assert agreement_text(found | {"top1_agreement": 90.0})[0] == "bad"
    assert agreement_text(found | {"top1_agreement": None})[0] == "fair"
    assert runtimes({}) is None


def test_no_images() -> None:
    with pytest.raises(InputError, match="there is not one image"):
        runtime_agreement(StubRunner("a"), StubRunner("b"), [])


def test_one_number_has_no_top_class() -> None:
    assert runtime_agreement(StubRunner("a"), StubRunner("b"), [torch.ones(4, 1)]).top1_agreement is None
