"""Stride, padding, dilation and groups of a convolution on integers, in the form that kernels take."""

from __future__ import annotations

from collections.abc import Sequence

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.quantization.int8.int8_calls import Int8Call, layer_of


class Geometry:
    """Stride, padding and dilation as lists; a 1d convolution is a 2d one over a height of 1."""

    def __init__(self, call: Int8Call) -> None:
        settings, rank = call.settings, len(call.inputs[0].meta[SHAPE])
        self.is_1d = rank == 3
        stride, padding, dilation = (
            _per_dim(settings.get(k, d), rank - 2) for k, d in (("stride", 1), ("padding", 0), ("dilation", 1))
        )
        extra = int(self.is_1d)
        self.stride, self.padding, self.dilation = [1] * extra + stride, [0] * extra + padding, [1] * extra + dilation
        self.groups = int(settings.get("groups", 1))
        weight = layer_of(call).weight
        self.weight = weight.unsqueeze(2) if self.is_1d else weight
        shape = list(call.inputs[0].meta[SHAPE])
        self.shape = [*shape[:2], 1, *shape[2:]] if self.is_1d else shape

    def is_one_product(self) -> bool:
        """Whether each sample's output is a single product of the weight and a vector."""
        ones = (*self.weight.shape[2:], *self.shape[2:], *self.stride, self.groups)
        return set(ones) == {1} and not any(self.padding)


def _per_dim(value: object, dims: int) -> list[int]:
    if isinstance(value, int):
        return [value] * dims
    assert isinstance(value, Sequence)
    return [int(v) for v in value]
