"""Nets whose outputs are noise in float, and nets that int8 alone has spoilt."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from zoo_coverage.float_twin import NOISE_DB, bfloat16_twin, spoilt_parts

import fxpasses
from fxpasses.measure.output_comparison import compare_outputs


class _Amplified(nn.Module):
    """A linear layer, and a sine so steep that the smallest change of a weight leaves nothing of the output."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.linear, self.slope = nn.Linear(6, 4), slope

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.linear(x) * self.slope)


def _graph(slope: float) -> tuple[fx.GraphModule, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(8, 6)
    return fxpasses.capture(_Amplified(slope).eval(), x), x


def test_the_twin_has_other_weights_and_leaves_the_graph_alone() -> None:
    graph, x = _graph(1.0)
    before = graph(x)
    assert not torch.equal(bfloat16_twin(graph)(x), before)
    assert torch.equal(graph(x), before)


def test_a_part_that_int8_alone_has_spoilt_is_named() -> None:
    graph, x = _graph(1.0)
    spoilt, twin = spoilt_parts(graph, compare_outputs(graph, torch.zeros_like, [(x,)]), (x,))
    assert not spoilt and twin is None  # zeros of the input's shape are not compared at all
    scores = compare_outputs(graph, lambda x: graph(x) * 0.2, [(x,)])
    spoilt, twin = spoilt_parts(graph, scores, (x,))
    assert len(spoilt) == 1 and "1.9 dB" in spoilt[0]
    assert twin is not None and twin > NOISE_DB


def test_a_part_that_is_noise_in_float_is_not_spoilt_by_int8() -> None:
    graph, x = _graph(1e4)
    scores = compare_outputs(graph, lambda x: graph(x) * 0.2, [(x,)])
    spoilt, twin = spoilt_parts(graph, scores, (x,))
    assert not spoilt
    assert twin is not None and twin < NOISE_DB


def test_parts_near_float_need_no_twin() -> None:
    graph, x = _graph(1.0)
    assert spoilt_parts(graph, compare_outputs(graph, lambda x: graph(x) * 0.99, [(x,)]), (x,)) == ([], None)
