"""Number of bits of a stored tensor, by the challenge's rules.

A value of n bits is n/32 parameter. A tensor with zeros may be stored without them, with one bit for each element of
its whole shape (or one for each block) that gives their places; this is done wherever it is shorter. Tensors of one
dimension are stored whole. Weights that are ``-s`` and ``+s`` for each output take one bit each and a scale of 32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..quantization.numbers.levels import level_scales

FLOAT_BITS = 32
Block = tuple[int, int]
"""Rows (outputs) and columns (inputs and taps, in memory order) of a block of weights."""


@dataclass(frozen=True)
class Stored:
    """One stored tensor.

    Attributes:
        name: its role: "weight", "bias", "scale".
        elements: number of elements of its shape.
        kept: number of stored values: all, or those that the mask keeps.
        bits: bits of a value.
        mask_bits: bits of the mask; 0 if there is none.
    """

    name: str
    elements: int
    kept: int
    bits: int
    mask_bits: int = 0

    @property
    def total_bits(self) -> int:
        return self.kept * self.bits + self.mask_bits

    def params(self, *, freebie: bool = False) -> Fraction:
        """Size in parameters of 32 bits; with the freebie, values of 32 bits count as 16."""
        bits = min(self.bits, 16) if freebie else self.bits
        return Fraction(self.kept * bits + self.mask_bits, FLOAT_BITS)


@dataclass(frozen=True)
class Weight:
    """A layer's weight, as it is stored and multiplied.

    Attributes:
        stored: the tensor, and a scale for each output if it needs one.
        kept: flags of the weights that are multiplied: bool, with the shape of the weight.
        bits: bits of one weight.
        signs: whether weights are -1 and +1 (or left out): a product with a float is then a change of sign.
    """

    stored: tuple[Stored, ...]
    kept: Tensor
    bits: int
    signs: bool = False


def weight_of(value: Tensor, bits: int | None = None, block: Block | None = None, *, scaled: bool = True) -> Weight:
    """Storage of a weight ``[C_out, ...]``.

    Args:
        value: the weight.
        bits: bits of its values; None: the bits that they need (integers, signs), or those of their dtype.
        block: block of the mask; None: one bit for each element.
        scaled: whether float signs have their own scale; integers have a scale that is stored separately.
    """
    value = value.detach()
    signs = bits is None and level_scales(value, 0) is not None
    bits = 1 if signs else bits or width_of(value)
    kept = kept_weights(value, block)
    mask = _mask_bits(value, block)
    whole_bits = 2 if signs and bool((value == 0).any()) else bits
    pays = value.dim() > 1 and int(kept.sum()) * bits + mask < value.numel() * whole_bits
    if not pays:
        kept, mask, bits = torch.ones_like(value, dtype=torch.bool), 0, whole_bits
    stored = [Stored("weight", value.numel(), int(kept.sum()), bits, mask)]
    if signs and scaled and value.is_floating_point():
        stored.append(Stored("scale", len(value), len(value), FLOAT_BITS))
    return Weight(tuple(stored), kept, bits, signs)


def plain(name: str, value: Tensor | None, bits: int | None = None) -> tuple[Stored, ...]:
    """Storage of a whole tensor, with the given width or that of its dtype; empty for None."""
    if value is None:
        return ()
    return (Stored(name, value.numel(), value.numel(), bits or dtype_bits(value.dtype)),)


def dtype_bits(dtype: torch.dtype) -> int:
    """Bits of one value; 1 for bool."""
    return 1 if dtype is torch.bool else dtype.itemsize * 8


def width_of(value: Tensor) -> int:
    """Bits that values need: for floats those of their dtype, for integers those of the extremes in
    two's complement.
    """
    if value.is_floating_point() or not value.numel():
        return dtype_bits(value.dtype)
    low, high = (int(v) for v in torch.aminmax(value))
    return max(2, high.bit_length() + 1, (-low - 1).bit_length() + 1 if low < 0 else 0)


def kept_weights(value: Tensor, block: Block | None) -> Tensor:
    """Flags of the elements that a mask keeps: those that are not zero, or all of a block with one that is not."""
    nonzero = value != 0
    if block is None or value.dim() < 2:
        return nonzero
    rows, columns = nonzero.shape[0], nonzero[0].numel()
    flat = F.pad(nonzero.reshape(rows, columns), (0, -columns % block[1], 0, -rows % block[0]))
    blocks = flat.unflatten(1, (-1, block[1])).unflatten(0, (-1, block[0]))
    whole = blocks.any(3, keepdim=True).any(1, keepdim=True).expand_as(blocks)
    kept: Tensor = whole.flatten(2, 3).flatten(0, 1)[:rows, :columns].reshape(value.shape)
    return kept


def _mask_bits(value: Tensor, block: Block | None) -> int:
    if block is None or value.dim() < 2:
        return value.numel()
    return math.ceil(value.shape[0] / block[0]) * math.ceil(value[0].numel() / block[1])


def check_block(block: Block | None) -> None:
    """Raise InputError unless both sides of a block are positive."""
    if block is not None and min(block) < 1:
        raise InputError(f"blocks of {block[0]}x{block[1]}", why="a block has weights in it", fix="use 4x4")
