from __future__ import annotations

import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fxpasses.quantization.numbers.qparams import (
    INT7_SYMMETRIC,
    INT8,
    INT8_SYMMETRIC,
    SMALLEST_SCALE,
    UINT8,
    IntType,
    QParams,
    affine_qparams,
    as_float32,
    symmetric_qparams,
)

GRIDS = [UINT8, INT8, INT8_SYMMETRIC, INT7_SYMMETRIC]
SIGNED = [INT8, INT8_SYMMETRIC, INT7_SYMMETRIC]

FLOAT32_STEP = 2.0**-23
"""Relative spacing of float32: the scale is rounded to it, so the far end of the grid may move by 255 half-steps."""

reals = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
ranges = st.tuples(reals, reals).map(lambda ends: (min(ends), max(ends)))


def quantize(x: Tensor, q: QParams) -> Tensor:
    return torch.clamp(torch.round(x.double() / q.scale) + q.zero_point, q.grid.low, q.grid.high)


def dequantize(integers: Tensor, q: QParams) -> Tensor:
    return (integers - q.zero_point) * q.scale


@pytest.mark.parametrize("grid", GRIDS)
@given(ranges)
def test_zero_is_a_level(grid: IntType, ends: tuple[float, float]) -> None:
    q = affine_qparams(*ends, grid)
    assert grid.low <= q.zero_point <= grid.high
    assert dequantize(quantize(torch.zeros(1), q), q).item() == 0.0


@pytest.mark.parametrize("grid", GRIDS)
@given(ranges)
def test_affine_covers_the_range_to_half_a_scale(grid: IntType, ends: tuple[float, float]) -> None:
    q = affine_qparams(*ends, grid)
    if q.scale == 1.0 and max(map(abs, ends)) < 1e-20:
        return  # constant zero for all int8 purposes
    slack = q.scale * (0.5 + 255 * FLOAT32_STEP)
    assert q.range[0] <= min(ends[0], 0.0) + slack
    assert q.range[1] >= max(ends[1], 0.0) - slack


@pytest.mark.parametrize("grid", GRIDS)
@given(ranges)
def test_affine_is_no_wider_than_needed(grid: IntType, ends: tuple[float, float]) -> None:
    q = affine_qparams(*ends, grid)
    if q.scale != 1.0:
        width = max(ends[1], 0.0) - min(ends[0], 0.0)
        assert q.range[1] - q.range[0] == pytest.approx(width, rel=FLOAT32_STEP)


@pytest.mark.parametrize("grid", SIGNED)
@given(ranges)
def test_symmetric_covers_the_larger_end(grid: IntType, ends: tuple[float, float]) -> None:
    q = symmetric_qparams(*ends, grid)
    peak = max(map(abs, ends))
    assert q.zero_point == 0
    assert q.range[1] >= peak * (1 - FLOAT32_STEP)
    if q.scale != 1.0:
        assert q.range[1] <= peak * (1 + FLOAT32_STEP)


@pytest.mark.parametrize("grid", GRIDS)
@given(ranges, st.lists(reals, min_size=1, max_size=50))
def test_quantize_dequantize_is_idempotent(grid: IntType, ends: tuple[float, float], values: list[float]) -> None:
    q = affine_qparams(*ends, grid)
    integers = quantize(torch.tensor(values), q)
    assert torch.equal(quantize(dequantize(integers, q), q), integers)


@given(ranges)
def test_every_level_survives_a_round_trip_in_float32(ends: tuple[float, float]) -> None:
    q = affine_qparams(*ends, UINT8)
    levels = torch.arange(256)
    x = (levels - q.zero_point).float() * torch.tensor(q.scale)
    assert torch.equal(torch.round(x / torch.tensor(q.scale)) + q.zero_point, levels.float())


@given(st.floats(0.0, 1e6, width=32, allow_subnormal=False))
def test_after_a_relu_zero_point_is_the_grid_low(high: float) -> None:
    assert affine_qparams(0.0, high, UINT8).zero_point == 0
    assert affine_qparams(0.0, high, INT8).zero_point == -128


@given(st.floats(0.0, 6.0, width=32))
def test_a_clamp_at_6_is_free(high: float) -> None:
    q = affine_qparams(0.0, high, UINT8)
    if high > 1e-20:
        assert q.range[1] <= 6.0 * (1 + FLOAT32_STEP)


@pytest.mark.parametrize("grid", GRIDS)
def test_constant_zero_has_scale_1(grid: IntType) -> None:
    assert affine_qparams(0.0, 0.0, grid) == QParams(1.0, grid.low, grid)
    assert affine_qparams(-SMALLEST_SCALE, 0.0, grid) == QParams(1.0, grid.high, grid)


@pytest.mark.parametrize("value", [3.5, -3.5, 1e-3])
def test_a_constant_is_representable(value: float) -> None:
    q = affine_qparams(value, value, UINT8)
    assert dequantize(quantize(torch.tensor([value]), q), q).item() == pytest.approx(value, rel=1e-6)


@given(st.floats(SMALLEST_SCALE, 1e30))
def test_scales_are_float32(scale: float) -> None:
    q = QParams(1.0, 3, UINT8).with_scale(scale)
    assert struct.unpack("f", struct.pack("f", q.scale))[0] == q.scale
    assert q.scale == as_float32(scale) == float(torch.tensor(scale, dtype=torch.float32))
    assert (q.zero_point, q.grid) == (3, UINT8)


@pytest.mark.parametrize("make", [affine_qparams, symmetric_qparams])
@pytest.mark.parametrize("ends", [(float("nan"), 1.0), (0.0, float("inf")), (float("-inf"), 0.0), (1.0, -1.0)], ids=str)
def test_no_range_is_an_error(make: type, ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no quantization range"):
        make(*ends, INT8)
