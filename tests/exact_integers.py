"""Integer operations in Python's own integers and fractions: slow and short, and independent of any library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import torch
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import Int8Call

Index = tuple[int, ...]
Values = dict[Index, Fraction]
"""Real numbers by index."""


def exact_result(call: Int8Call, inputs: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """Result of exact arithmetic on integer inputs; ``shape`` is that of the output."""
    reals = [_reals(q, Fraction(x.scale), x.zero_point) for q, x in zip(inputs, call.x, strict=True)]
    sizes = [tuple(q.shape) for q in inputs]
    value_at = _OPERATORS[call.operator.name](call, reals, sizes)
    result = torch.empty(tuple(shape), dtype=call.y.grid.dtype)
    for index in product(*map(range, shape)):
        result[index] = _to_grid(value_at(index), call)
    return result


def _reals(q: Tensor, scale: Fraction, zero_point: int) -> Values:
    return {index: scale * (int(q[index]) - zero_point) for index in product(*map(range, q.shape))}


def _to_grid(value: Fraction, call: Int8Call) -> int:
    """Clamp in reals, divide, round half to even, saturate."""
    if call.clamp is not None:
        low, high = call.clamp
        value = max(value, Fraction(low)) if math.isfinite(low) else value
        value = min(value, Fraction(high)) if math.isfinite(high) else value
    q = round(value / Fraction(call.y.scale)) + call.y.zero_point
    return max(call.y.grid.low, min(call.y.grid.high, q))


def _at(values: Values, *index: int) -> Fraction:
    return values[index]


def _per_dim(value: Any, dims: int) -> tuple[int, ...]:
    return (value,) * dims if isinstance(value, int) else tuple(value)


def _weights(call: Int8Call) -> tuple[Values, Callable[[int], Fraction]]:
    """Real weights, and the real bias of an output channel."""
    layer = call.layer
    assert layer is not None
    scales = [Fraction(float(s)) for s in layer.weight_scale]
    weight = {
        index: scales[index[layer.axis]] * int(layer.weight[index])
        for index in product(*map(range, layer.weight.shape))
    }
    held = layer.bias

    def bias(channel: int) -> Fraction:
        if held is None:
            return Fraction(0)
        return Fraction(call.x[0].scale) * scales[channel % len(scales)] * int(held[channel])

    return weight, bias


def _windows(index: Index, call: Int8Call, kernel: Index, size: Index) -> Iterator[tuple[Index, Index]]:
    """(place in the kernel, place in the input) for one output place; padding is left out, as it adds zero."""
    dims = len(kernel)
    stride, padding, dilation = (
        _per_dim(call.settings.get(k, d), dims) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    for k in product(*map(range, kernel)):
        place = tuple(o * s - p + i * d for o, s, p, i, d in zip(index, stride, padding, k, dilation, strict=True))
        if all(0 <= a < n for a, n in zip(place, size, strict=True)):
            yield k, place


def _convolution(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    assert call.layer is not None
    weight, bias = _weights(call)
    outputs, per_group, *kernel = call.layer.weight.shape
    group_size = outputs // int(call.settings.get("groups", 1))

    def value_at(index: Index) -> Fraction:
        n, c, *where = index
        total = bias(c)
        for k, place in _windows(tuple(where), call, tuple(kernel), sizes[0][2:]):
            for i in range(per_group):
                total += _at(weight, c, i, *k) * _at(reals[0], n, c // group_size * per_group + i, *place)
        return total

    return value_at


def _transposed(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    assert call.layer is not None
    weight, bias = _weights(call)
    inputs, per_group, *kernel = call.layer.weight.shape
    dims, groups = len(kernel), int(call.settings.get("groups", 1))
    stride, padding, dilation = (
        _per_dim(call.settings.get(k, d), dims) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1))
    )

    def value_at(index: Index) -> Fraction:
        n, c, *where = index
        total = bias(c)
        for k in product(*map(range, kernel)):
            steps = [o + p - i * d for o, p, i, d in zip(where, padding, k, dilation, strict=True)]
            place = [a // s for a, s in zip(steps, stride, strict=True)]
            if any(a % s for a, s in zip(steps, stride, strict=True)):
                continue
            if all(0 <= a < size for a, size in zip(place, sizes[0][2:], strict=True)):
                for i in range(inputs // groups):
                    source = c // per_group * (inputs // groups) + i
                    total += _at(weight, source, c % per_group, *k) * _at(reals[0], n, source, *place)
        return total

    return value_at


def _linear(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    weight, bias = _weights(call)
    features = sizes[0][-1]
    return lambda index: (
        bias(index[-1])
        + sum((_at(weight, index[-1], i) * _at(reals[0], *index[:-1], i) for i in range(features)), Fraction(0))
    )


def _broadcast(index: Index, size: Index) -> Index:
    """The element of a smaller tensor that meets this element of the result."""
    return tuple(0 if n == 1 else i for i, n in zip(index[len(index) - len(size) :], size, strict=True))


def _pointwise(combine: Callable[[Fraction, Fraction], Fraction]) -> Callable[..., Callable[[Index], Fraction]]:
    def build(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
        a, b = reals
        return lambda index: combine(a[_broadcast(index, sizes[0])], b[_broadcast(index, sizes[1])])

    return build


def _matmul(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    a, b = reals
    return lambda index: sum(
        (_at(a, *index[:-1], i) * _at(b, *index[:-2], i, index[-1]) for i in range(sizes[0][-1])), Fraction(0)
    )


def _cat(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    dim = int(call.settings.get("dim", 0)) % len(sizes[0])

    def value_at(index: Index) -> Fraction:
        i = index[dim]
        for part, size in zip(reals, sizes, strict=True):
            if i < size[dim]:
                return _at(part, *index[:dim], i, *index[dim + 1 :])
            i -= size[dim]
        raise AssertionError(index)

    return value_at


def _average(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    kernel = _per_dim(call.settings["kernel_size"], 2)
    padded = call.settings.get("count_include_pad", True)

    def value_at(index: Index) -> Fraction:
        places = [place for _, place in _windows(index[2:], call, kernel, sizes[0][2:])]
        total = sum((_at(reals[0], *index[:2], *place) for place in places), Fraction(0))
        return total / (math.prod(kernel) if padded else len(places))

    return value_at


def _global_average(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    places = list(product(*map(range, sizes[0][2:])))
    return lambda index: sum((_at(reals[0], *index[:2], *place) for place in places), Fraction(0)) / len(places)


def _maximum(call: Int8Call, reals: list[Values], sizes: list[Index]) -> Callable[[Index], Fraction]:
    kernel = _per_dim(call.settings["kernel_size"], len(sizes[0]) - 2)
    return lambda index: max(
        _at(reals[0], *index[:2], *place) for _, place in _windows(index[2:], call, kernel, sizes[0][2:])
    )


_OPERATORS: dict[str, Callable[..., Callable[[Index], Fraction]]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    "linear": _linear,
    "add": _pointwise(lambda a, b: a + b),
    "mul": _pointwise(lambda a, b: a * b),
    "matmul": _matmul,
    "cat": _cat,
    "avg_pool2d": _average,
    "adaptive_avg_pool2d": _global_average,
    "max_pool2d": _maximum,
}
