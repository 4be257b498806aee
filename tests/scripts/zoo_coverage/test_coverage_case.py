"""Coverage of one model: its counts, and the kinds of failures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from zoo_coverage import case as coverage_case
from zoo_coverage.case import CRASH, FAILED, NOT_OURS, OK, cover, sqnr_db, torch_captures

from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE


def test_sqnr() -> None:
    expected = torch.tensor([3.0, 4.0])
    assert sqnr_db(expected, expected + torch.tensor([0.3, 0.4])) == pytest.approx(20.0, abs=1e-4)


@pytest.mark.slow  # torchvision is imported
def test_a_name_nobody_knows_fails_clearly() -> None:
    outcome = cover("torchvision/resnet0")
    assert (outcome.status, outcome.step) == (FAILED, "build")
    assert "resnet0" in outcome.reason


def test_what_escapes_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def escape(_: str) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(coverage_case, "open_model", escape)
    outcome = cover("torchvision/resnet18")
    assert outcome.status == CRASH and "ZeroDivisionError: oh" in outcome.reason


class _ByValue(nn.Module):
    """Model with a branch on values, which neither tracer nor exporter follows."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


@pytest.mark.parametrize(
    ("module", "status"), [(_ByValue(), NOT_OURS), pytest.param(nn.Conv2d(3, 4, 3), OK, marks=pytest.mark.slow)]
)
def test_whose_failure_it_is(monkeypatch: pytest.MonkeyPatch, module: nn.Module, status: str) -> None:
    loaded = LoadedModel("net", module.eval(), (3, 8, 8), UNIT_RANGE, pretrained=False)
    monkeypatch.setattr(coverage_case, "open_model", lambda _: loaded)
    outcome = cover("net")
    assert outcome.status == status
    assert (outcome.captured_by == "trace") == (status == OK)


def test_what_torch_takes() -> None:
    inputs = (torch.ones(2, 3),)
    assert torch_captures(nn.Linear(3, 4), inputs)
    assert not torch_captures(_ByValue(), inputs)
