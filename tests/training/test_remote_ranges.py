"""Ranges for a GPU, computed on tensors, are those of the CPU bit for bit, and so are gradients at given ends."""

from __future__ import annotations

import math

import pytest
import torch

from fxpasses.quantization.numbers.qparams import INT8, UINT8, IntType, affine_qparams, symmetric_qparams
from fxpasses.training.fake.remote_ranges import mapping_of, within

TINY = 2.0**-100
ENDS = [(-1.0, 2.0), (0.0, 3.7), (-5.3, 0.0), (0.5, 2.0), (-2.0, -0.3), (0.0, 0.0), (-TINY, TINY), (0.0, TINY)]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("grid", [UINT8, INT8, IntType(torch.int8, -4, 3), IntType(torch.uint8, 0, 7)])
def test_mappings_are_the_cpus(grid: IntType, symmetric: bool) -> None:
    drawn = (torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * 3).sort(1).values.tolist()
    for low, high in [*ENDS, *drawn]:
        extremes = torch.tensor([low, high])
        low, high = extremes.tolist()
        choose = symmetric_qparams if symmetric else affine_qparams
        expected = choose(min(low, 0.0), max(high, 0.0), grid)
        step, zero_point = mapping_of(extremes, grid, symmetric=symmetric)
        assert (step.item(), zero_point.item()) == (expected.scale, expected.zero_point), (low, high)
        assert (step.dtype, zero_point.dtype) == (torch.float32, torch.int32)


@pytest.mark.parametrize("end", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_breaks_the_step(end: float) -> None:
    for symmetric in (True, False):
        assert math.isnan(mapping_of(torch.tensor([-1.0, end]), UINT8, symmetric=symmetric)[0])


def test_gradients_are_those_of_a_clamp() -> None:
    x, gradient = torch.randn(300), torch.randn(300)
    low, high = torch.tensor([-0.7]), x[:1].abs()
    expected = torch.ops.aten.hardtanh_backward(gradient, x, float(low), float(high))
    assert torch.equal(within(gradient, x, low, high), expected)
