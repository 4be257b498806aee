"""Scores of the parts of outputs: SQNR, and a warning for a part that is far from float or constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxpasses
from fxpasses.measure.output_comparison import PartScore, compare_outputs, warnings_of


class Detector(nn.Module):
    """Detector with boxes up to 480 and scores below 1; ``[B, 3, 6, 5]`` to ``[B, 5, 30]``."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body, self.boxes, self.scores = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1), nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).relu()
        return torch.cat([self.boxes(y).sigmoid() * 480, (self.scores(y) - 2).sigmoid()], 1).flatten(2)


def compared(spoil: Callable[[Tensor], Tensor]) -> list[PartScore]:
    net, x = Detector().eval(), torch.randn(4, 3, 6, 5, generator=torch.Generator().manual_seed(2))
    graph = fxpasses.fuse(fxpasses.capture(net, x))

    def int8(*inputs: Any) -> Tensor:
        return spoil(graph(*inputs))

    return compare_outputs(graph, int8, [(x[:2],), (x[2:],)])


def on_one_grid(y: Tensor) -> Tensor:
    """Round both parts on one grid of 8 bits."""
    step = y.max() / 255
    return (y / step).round() * step


def test_what_one_number_for_all_does_not_see() -> None:
    boxes, scores = compared(on_one_grid)
    assert boxes.sqnr_db is not None and boxes.sqnr_db > 40 and boxes.warning is None
    assert scores.became_constant
    (warning,) = warnings_of([boxes, scores])
    assert warning.startswith("output[:, 4:5] (sigmoid") and "is 0 for every input in int8" in warning
    assert "fxpasses sensitivity, and keep that in float" in warning
    assert scores.to_json()["warning"] == warning and scores.to_json()["part"] == "[:, 4:5]"


def test_noise_alone_is_told_too() -> None:
    generator = torch.Generator().manual_seed(3)
    boxes, scores = compared(lambda y: y + 0.4 * torch.randn(y.shape, generator=generator))
    assert boxes.warning is None
    assert scores.warning is not None and "is far from float" in scores.warning and "dB" in scores.warning


def test_equal_outputs_have_no_noise_and_no_warning() -> None:
    found = compared(lambda y: y)
    assert [score.sqnr_db for score in found] == [None, None] and not warnings_of(found)


def test_what_never_changed_did_not_become_constant() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 0 + 3

    x = torch.randn(2, 4)
    (score,) = compare_outputs(fxpasses.capture(Constant().eval(), x), lambda x: torch.full_like(x, 3.0), [(x,)])
    assert not score.became_constant and score.warning is None


@pytest.mark.parametrize("float_results", [True, False])
def test_a_detector_keeps_its_scores(float_results: bool) -> None:
    net, x = Detector().eval(), torch.randn(8, 3, 6, 5, generator=torch.Generator().manual_seed(2))
    config = fxpasses.QuantConfig(target="x86-avx2", float_results=float_results)
    int8 = fxpasses.quantize(net, x, [x], config)
    scores = compare_outputs(fxpasses.fuse(fxpasses.capture(net, x)), fxpasses.export.to_torch(int8), [(x,)])
    assert all(score.sqnr_db is not None and score.sqnr_db > 25 for score in scores)
