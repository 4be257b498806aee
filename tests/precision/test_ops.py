"""Operators of QUANTIZED graphs compared with the text of the ONNX standard."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import as_float32

LIMITS = {torch.uint8: (0, 255), torch.int8: (-128, 127)}
dtypes = st.sampled_from(sorted(LIMITS, key=str))
scales = st.one_of(st.floats(1e-20, 1e20), st.sampled_from([2.0**-k for k in range(12)])).map(as_float32)
reals = st.one_of(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(-300, 300, width=32))


def onnx_quantize(x: npt.NDArray[Any], scale: float, zero_point: int, low: int, high: int) -> npt.NDArray[Any]:
    """QuantizeLinear: ``y = saturate((x / y_scale) + y_zero_point)``, rounding to nearest ties to even, in float32."""
    with np.errstate(over="ignore"):
        divided = np.divide(x.astype(np.float32), np.float32(scale), dtype=np.float32)
    rounded: npt.NDArray[Any] = np.clip(np.rint(divided) + zero_point, low, high)
    return rounded


@given(st.lists(reals, min_size=1, max_size=50), scales, st.integers(0, 255), dtypes)
def test_quantize_is_onnx_quantize_linear(values: list[float], scale: float, shift: int, dtype: torch.dtype) -> None:
    low, high = LIMITS[dtype]
    x = np.array(values, dtype=np.float32)
    found = ops.quantize(torch.from_numpy(x), scale, low + shift, dtype)
    assert found.dtype is dtype
    assert found.tolist() == onnx_quantize(x, scale, low + shift, low, high).tolist()


@given(st.integers(-600, 600), st.sampled_from([2.0**-k for k in range(10)]), st.integers(0, 255))
def test_ties_go_to_the_even_step_before_the_zero_point_is_added(half: int, scale: float, zero_point: int) -> None:
    """The rounding is of x / scale alone: if zero_point is odd, the result of a tie is odd."""
    steps = half // 2 + 0.5
    even = int(np.rint(steps))
    assert even % 2 == 0
    found = ops.quantize(torch.tensor([steps * scale]), scale, zero_point, torch.uint8)
    assert found.tolist() == [min(max(even + zero_point, 0), 255)]


@pytest.mark.parametrize("dtype", LIMITS)
def test_saturates_at_both_ends_also_for_infinity(dtype: torch.dtype) -> None:
    low, high = LIMITS[dtype]
    x = torch.tensor([-torch.inf, -1e38, 1e38, torch.inf])
    assert ops.quantize(x, 0.001, 0, dtype).tolist() == [low, low, high, high]


@given(st.lists(st.integers(0, 255), min_size=1), scales, st.integers(0, 255), dtypes)
def test_dequantize_is_onnx_dequantize_linear(q: list[int], scale: float, shift: int, dtype: torch.dtype) -> None:
    """``y = (x - x_zero_point) * x_scale``."""
    low, _ = LIMITS[dtype]
    integers = np.array([low + v for v in q])
    found = ops.dequantize(torch.from_numpy(integers).to(dtype), scale, low + shift)
    expected = (integers - (low + shift)).astype(np.float32) * np.float32(scale)
    assert found.dtype is torch.float32 and found.tolist() == expected.tolist()


@given(scales.filter(lambda s: 1e-15 < s < 1e15), st.integers(0, 255), dtypes)
def test_every_integer_comes_back(scale: float, shift: int, dtype: torch.dtype) -> None:
    low, high = LIMITS[dtype]
    q = torch.arange(low, high + 1).to(dtype)
    back = ops.dequantize(q, scale, low + shift)
    assert torch.equal(ops.quantize(back, scale, low + shift, dtype), q)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_dequantize_per_channel(axis: int) -> None:
    q = torch.randint(-127, 128, (3, 4, 5), dtype=torch.int8)
    scale = torch.rand(q.shape[axis]) + 0.1
    found = ops.dequantize_per_channel(q, scale, axis)
    for i in range(q.shape[axis]):
        assert torch.equal(found.select(axis, i), q.select(axis, i).float() * scale[i])


def test_dequantize_per_channel_of_int32() -> None:
    """Biases are below 2**22, where float32 holds every integer."""
    q = torch.tensor([2**22, -(2**22), 3], dtype=torch.int32)
    scale = torch.tensor([0.5, 0.25, 2.0])
    assert ops.dequantize_per_channel(q, scale, 0).tolist() == [2.0**21, -(2.0**20), 6.0]


def test_inputs_are_left_alone() -> None:
    x, q = torch.randn(7), torch.arange(7, dtype=torch.uint8)
    before, integers = x.clone(), q.clone()
    ops.quantize(x, 0.1, 3, torch.uint8)
    ops.dequantize(q, 0.1, 3)
    ops.dequantize_per_channel(q, torch.ones(7), 0)
    assert torch.equal(x, before) and torch.equal(q, integers)


def test_shapes_and_types_are_known_without_running() -> None:
    """Fake tensors give what real ones do: torch.export relies on it."""
    for name, arguments in {
        "quantize": (torch.randn(2, 3), 0.1, 0, torch.int8),
        "dequantize": (torch.zeros(2, 3, dtype=torch.uint8), 0.1, 0),
        "dequantize_per_channel": (torch.zeros(2, 3, dtype=torch.int8), torch.ones(3), 1),
    }.items():
        torch.library.opcheck(
            getattr(torch.ops.fxpasses, name).default, arguments, test_utils=("test_schema", "test_faketensor")
        )


def test_memory_layout_is_kept() -> None:
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    q = ops.quantize(x, 0.1, 0, torch.uint8)
    assert q.is_contiguous(memory_format=torch.channels_last)
    assert ops.dequantize(q, 0.1, 0).is_contiguous(memory_format=torch.channels_last)


def test_pixels_multiply_then_add_each_rounded_once() -> None:
    """The result equals that of Mul and Add of ONNX; missing channels hold one number."""
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    factor, offset = [57.3, 1 / 3, -2.0], [0.1, 5.5, 1e-3]
    found = ops.pixels(x, factor, offset, 139.0, 8)
    for c in range(3):
        scaled = x[:, c].numpy() * np.float32(factor[c])
        assert np.array_equal(found[:, c].numpy(), scaled + np.float32(offset[c]))
    assert found.shape == (2, 8, 4, 5) and set(found[:, 3:].flatten().tolist()) == {139.0}
    spread = ops.pixels(x, factor, offset, 139.0, 8, True)
    assert torch.equal(spread[:, 0:6:2], found[:, :3])
    assert set(spread[:, [1, 3, 5, 6, 7]].flatten().tolist()) == {139.0}
