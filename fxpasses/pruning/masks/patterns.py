"""Regular patterns of weights: N:M (N of every M kept) and blocks. Functions from scores to a mask of the weight's
shape.

N:M runs along the input channels, as the sparse tensor cores of NVIDIA need it (Mishra et al. 2021): every M weights of
consecutive input channels, at one place of the kernel. Blocks are rectangles ``rows x columns`` of the weight as a
matrix ``[C_out, C_in * kernel]``. Weights left over at the end of a row, fewer than M, are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError

_N_OF_M = re.compile(r"(\d+):(\d+)")
_BLOCK = re.compile(r"block:(\d+)x(\d+)")


@dataclass(frozen=True)
class NofM:
    """Pattern that keeps ``n`` of every ``m`` weights."""

    n: int
    m: int


@dataclass(frozen=True)
class Block:
    """Pattern that prunes weights in rectangles of ``rows`` output channels and ``columns`` inputs."""

    rows: int
    columns: int


def parse_pattern(text: str) -> NofM | Block | None:
    """Parse ``"2:4"`` or ``"block:4x1"``; None for anything else.

    Raises:
        InputError: N is not between 1 and M - 1, or a block has no weights.
    """
    if match := _N_OF_M.fullmatch(text):
        n, m = int(match[1]), int(match[2])
        if not 0 < n < m:
            raise InputError(f"pattern {text!r}", why="it must keep 1 at least, and not all", fix="use 2:4 or 1:2")
        return NofM(n, m)
    if match := _BLOCK.fullmatch(text):
        rows, columns = int(match[1]), int(match[2])
        if not rows * columns:
            raise InputError(f"pattern {text!r}", why="a block needs weights", fix="use block:4x1 or the like")
        return Block(rows, columns)
    return None


def n_of_m_mask(scores: Tensor, pattern: NofM) -> Tensor:
    """Keep the best N of every M along dimension 1; of equal scores the first."""
    along = scores.movedim(1, -1)
    whole = along.shape[-1] // pattern.m * pattern.m
    groups = along[..., :whole].unflatten(-1, (-1, pattern.m))
    best = groups.argsort(dim=-1, descending=True, stable=True)[..., : pattern.n]
    kept = torch.zeros_like(groups, dtype=torch.bool).scatter(-1, best, True)
    left_over = torch.ones_like(along[..., whole:], dtype=torch.bool)
    return torch.cat((kept.flatten(-2), left_over), -1).movedim(-1, 1).contiguous()


def block_scores(scores: Tensor, block: Block) -> Tensor:
    """Mean score of each block, ``[ceil(C_out / rows), ceil(C_in * kernel / columns)]``; blocks at the border may be
    smaller.
    """
    matrix = scores.flatten(1)
    pad = (0, -matrix.shape[1] % block.columns, 0, -matrix.shape[0] % block.rows)

    def sums(values: Tensor) -> Tensor:
        tiles = F.pad(values, pad).unflatten(1, (-1, block.columns)).unflatten(0, (-1, block.rows))
        total: Tensor = tiles.sum((1, 3))
        return total

    return sums(matrix) / sums(torch.ones_like(matrix))


def blocks_as_weights(kept: Tensor, block: Block, shape: torch.Size) -> Tensor:
    """Convert a mask of blocks to a mask of weights."""
    matrix = kept.repeat_interleave(block.rows, 0).repeat_interleave(block.columns, 1)
    cut: Tensor = matrix[: shape[0], : shape[1:].numel()]
    return cut.reshape(shape).clone()
