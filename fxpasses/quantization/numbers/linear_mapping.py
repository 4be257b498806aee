"""The linear mapping between real numbers and integers, which every pass here uses.

In float32, as ONNX defines QuantizeLinear and DequantizeLinear:

    q = saturate(round(x / scale) + zero_point)      to nearest, ties to even; then clipped to [qmin, qmax]
    x ~ (q - zero_point) * scale

A range of real numbers [low, high], widened to contain zero, gives ``scale`` and ``zero_point``:

    affine      scale = (high - low) / (qmax - qmin),    zero_point = qmin - round(low / scale)
    symmetric   scale = max(|low|, |high|) / qmax,       zero_point = 0

A range smaller than that of the data clips the values outside, and rounds the values inside with smaller steps. Both
parameters are numbers for a whole tensor, or tensors ``[C]`` with one for each index of dimension ``axis``:

    >>> import torch, fxpasses as fx
    >>> x = torch.tensor([[-1.0, 0.0, 0.26, 2.0], [-0.1, 0.0, 0.026, 0.2]])
    >>> scale, zero_point = fx.linear_parameters(-1.0, 2.0, "uint8")
    >>> fx.quantize_linear(x, scale, zero_point, "uint8").tolist()
    [[0, 85, 107, 255], [77, 85, 87, 102]]
    >>> scale, zero_point = fx.linear_parameters(x.amin(1), x.amax(1), "int8", symmetric=True)
    >>> q = fx.quantize_linear(x, scale, zero_point, "int8", axis=0)
    >>> q.tolist()
    [[-64, 0, 17, 127], [-64, 0, 17, 127]]
    >>> (fx.dequantize_linear(q, scale, zero_point, axis=0) - x).abs().max() <= scale.max() / 2
    tensor(True)

Reference: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 2.1; Krishnamoorthi 2018, arXiv:1806.08342; ONNX operators QuantizeLinear-21, DequantizeLinear-21.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from ...errors import InputError
from .qparams import IntType, affine_qparams, as_float32, symmetric_qparams

_NAME = re.compile(r"(u?)int(\d+)")
_NAMES = "'int2' to 'int16' or 'uint2' to 'uint16'"
_SMALLEST_BITS, _LARGEST_BITS = 2, 16


def levels_of(x: Tensor, scale: float | Tensor, zero_point: float | Tensor, low: int, high: int) -> Tensor:
    """Quantize ``x`` without casting: integers in the floating point type of ``x``; parameters broadcast, no checks."""
    return torch.round(x / scale).add_(zero_point).clamp_(low, high)


def values_of(q: Tensor, scale: float | Tensor, zero_point: float | Tensor) -> Tensor:
    """Dequantize integers to float32 numbers; parameters broadcast, no checks."""
    number = q.to(torch.float32, copy=True)
    return (number if isinstance(zero_point, int) and zero_point == 0 else number.sub_(zero_point)).mul_(scale)


def integer_type(dtype: str | torch.dtype | IntType) -> IntType:
    """The integer range of a type: ``"int8"``, ``"uint4"``, ``torch.int16``; an :class:`IntType` is returned unchanged.

    Types with other sizes than 8 or 16 bits are stored in the next wider type of torch.

    Raises:
        InputError: the type does not name integers of 2 to 16 bits.
    """
    if isinstance(dtype, IntType):
        return dtype
    spelled = str(dtype).removeprefix("torch.")
    found = _NAME.fullmatch(spelled)
    bits = int(found[2]) if found else 0
    if found is None or not _SMALLEST_BITS <= bits <= _LARGEST_BITS:
        raise InputError(f"dtype {spelled!r}", why="there is no integer type of that name", fix=f"use {_NAMES}")
    unsigned = bool(found[1])
    held: torch.dtype = getattr(torch, f"{found[1]}int{8 if bits <= 8 else 16}")
    return IntType(held, 0 if unsigned else -(1 << (bits - 1)), (1 << (bits if unsigned else bits - 1)) - 1)


def quantize_linear(
    x: Tensor,
    scale: float | Tensor,
    zero_point: int | Tensor = 0,
    dtype: str | torch.dtype | IntType = "int8",
    axis: int | None = None,
) -> Tensor:
    """Quantize real numbers: ``saturate(round(x / scale) + zero_point)``, bit for bit as ONNX QuantizeLinear.

    Args:
        x: float32 of any shape (float64 is computed in float64; half precision in float32). Infinity saturates; the
            result for NaN is undefined.
        scale: a positive number, rounded to float32; or float ``[C]``, one for each index of ``axis``.
        zero_point: the integer that represents zero, of ``dtype``; or ``[C]``.
        dtype: type of the integers; see :func:`integer_type`.
        axis: the dimension of per-channel parameters; None if ``scale`` and ``zero_point`` apply to all of ``x``.

    Returns:
        Integers shaped as ``x``; 4-bit integers, for example, are in a tensor of int8, one to a byte.

    Raises:
        InputError: ``x`` is no tensor of real numbers; a scale is not positive and finite; a zero point is no integer
            of ``dtype``; the shapes do not fit; or the dtype is unknown.
    """
    grid = integer_type(dtype)
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise InputError(f"x of {_kind(x)}", why="real numbers are quantized", fix="give a float32 tensor")
    x = x if x.dtype is torch.float64 else x.to(torch.float32)
    return levels_of(x, *_checked(x, scale, zero_point, axis, grid), grid.low, grid.high).to(grid.dtype)


def dequantize_linear(
    q: Tensor, scale: float | Tensor, zero_point: int | Tensor = 0, axis: int | None = None
) -> Tensor:
    """Dequantize integers to float32 numbers: ``(q - zero_point) * scale``, bit for bit as ONNX DequantizeLinear.

    Args:
        q: integers of any shape and type, below 2**24.
        scale: as for :func:`quantize_linear`.
        zero_point: as for :func:`quantize_linear`.
        axis: as for :func:`quantize_linear`.

    Raises:
        InputError: ``q`` is no tensor of integers; or in the cases of :func:`quantize_linear`.
    """
    if not isinstance(q, Tensor) or q.is_floating_point() or q.is_complex() or q.dtype is torch.bool:
        raise InputError(f"q of {_kind(q)}", why="integers are dequantized", fix="give what quantize_linear returned")
    return values_of(q, *_checked(q, scale, zero_point, axis, None))


def linear_parameters(
    low: float | Tensor,
    high: float | Tensor,
    dtype: str | torch.dtype | IntType = "uint8",
    symmetric: bool = False,
) -> tuple[Tensor, Tensor]:
    """Scale and zero point for numbers between ``low`` and ``high``; values outside will be clipped.

    Args:
        low: the lower end of the range, a number; or ``[C]``, for parameters of each channel.
        high: the upper end, in the same form.
        dtype: what integers: see :func:`integer_type`.
        symmetric: zero point 0, as weights have it, and as large a range on both sides; needs signed integers.

    Returns:
        Float32 scales and int32 zero points, shaped as ``low``. A range that contains only zero has scale 1.

    Raises:
        InputError: an end is not finite, ``low`` is above ``high``, the shapes differ, the dtype is unknown, or the
            integers of a symmetric mapping are unsigned.
    """
    grid = integer_type(dtype)
    if symmetric and grid.low >= 0:
        raise InputError(
            f"a symmetric mapping to {dtype}",
            why="unsigned integers have nothing on the other side of zero",
            fix="use a signed type, or symmetric=False",
        )
    ends = [torch.as_tensor(end, dtype=torch.float32).detach().double() for end in (low, high)]
    if ends[0].shape != ends[1].shape or ends[0].dim() > 1:
        raise InputError(
            f"ends of shapes {list(ends[0].shape)} and {list(ends[1].shape)}",
            why="a range is two numbers, or two of each channel",
            fix="reduce the other dimensions: x.amin((0, 2, 3))",
        )
    choose = symmetric_qparams if symmetric else affine_qparams
    try:
        lows, highs = (end.reshape(-1).tolist() for end in ends)
        found = [choose(lowest, highest, grid) for lowest, highest in zip(lows, highs, strict=True)]
    except ValueError as error:
        raise InputError("a range", why=str(error), fix="give finite ends, the lower first") from error
    scales, zero_points, shape = [q.scale for q in found], [q.zero_point for q in found], ends[0].shape
    return torch.tensor(scales).reshape(shape), torch.tensor(zero_points, dtype=torch.int32).reshape(shape)


def _checked(
    x: Tensor, scale: float | Tensor, zero_point: int | Tensor, axis: int | None, grid: IntType | None
) -> tuple[float | Tensor, float | Tensor]:
    """Parameters ready to broadcast against ``x``."""
    _check_scale(scale)
    _check_zero_point(zero_point, grid)
    dtype = x.dtype if x.is_floating_point() else torch.float32
    rounded = scale.detach().float() if isinstance(scale, Tensor) else as_float32(scale)
    return _broadcast(x, "scale", rounded, axis, dtype), _broadcast(x, "zero_point", zero_point, axis, dtype)


def _check_scale(scale: float | Tensor) -> None:
    values = (scale.detach() if isinstance(scale, Tensor) else torch.tensor(scale)).to(torch.float32)
    wrong = values[~((values > 0) & torch.isfinite(values))]
    if wrong.numel():
        raise InputError(
            f"scale {float(wrong.flatten()[0]):g}",
            why="a scale is a positive finite float32",
            fix="linear_parameters(low, high) gives one, also for a range of zeros",
        )


def _check_zero_point(zero_point: int | Tensor, grid: IntType | None) -> None:
    values = zero_point if isinstance(zero_point, Tensor) else torch.tensor(zero_point)
    if values.is_floating_point():
        raise InputError("a zero point that is a float", why="it is the integer that represents zero", fix="round it")
    if grid is None or not values.numel():
        return
    low, high = int(values.min()), int(values.max())
    if low < grid.low or high > grid.high:
        raise InputError(
            f"zero point {low if low < grid.low else high}",
            why=f"it lies outside the integers in use, {grid.low} to {grid.high}",
            fix="widen the range so that it holds zero: linear_parameters does",
        )


def _broadcast(x: Tensor, name: str, value: float | Tensor, axis: int | None, dtype: torch.dtype) -> float | Tensor:
    """Shape a parameter so that it broadcasts along ``axis`` of ``x``."""
    if not isinstance(value, Tensor) or value.dim() == 0:
        return float(value)
    given = f"{name} of shape {list(value.shape)}"
    if axis is None:
        raise InputError(given, why="one number is wanted where no axis is given", fix="say which dimension it is for")
    if not -x.dim() <= axis < x.dim():
        raise InputError(f"axis {axis}", why=f"the tensor has {x.dim()} dimensions", fix="name one of them")
    if value.dim() != 1 or len(value) != x.shape[axis]:
        raise InputError(
            given, why=f"dimension {axis} has {x.shape[axis]} indices", fix=f"give one for each: [{x.shape[axis]}]"
        )
    shape = [1] * x.dim()
    shape[axis] = -1
    return value.detach().to(dtype).reshape(shape)


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
