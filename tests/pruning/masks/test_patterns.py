"""N:M and blocks compared with counts by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpasses as fx
from fxpasses.pruning.masks.patterns import Block, NofM, block_scores, blocks_as_weights, n_of_m_mask, parse_pattern


def test_spelling() -> None:
    assert parse_pattern("2:4") == NofM(2, 4)
    assert parse_pattern("block:4x1") == Block(4, 1)
    assert parse_pattern("weight") is None


@pytest.mark.parametrize("text", ["4:4", "0:4", "block:0x3"])
def test_patterns_that_prune_nothing_or_all(text: str) -> None:
    with pytest.raises(fx.InputError, match=f"pattern '{text}'"):
        parse_pattern(text)


@settings(max_examples=25)
@given(st.integers(1, 11), st.integers(1, 3), st.integers(0, 5))
def test_two_of_four_along_the_inputs(inputs: int, kernel: int, seed: int) -> None:
    scores = torch.rand(3, inputs, kernel, generator=torch.Generator().manual_seed(seed))
    kept = n_of_m_mask(scores, NofM(2, 4))
    for row in range(3):
        for place in range(kernel):
            for start in range(0, inputs - inputs % 4, 4):
                group = scores[row, start : start + 4, place]
                best = group.topk(2).values.min()
                assert torch.equal(kept[row, start : start + 4, place], group >= best)
    assert bool(kept[:, inputs - inputs % 4 :].all())


def test_blocks_and_their_borders() -> None:
    scores = torch.arange(15.0).reshape(5, 3)
    found = block_scores(scores, Block(2, 2))
    assert found.tolist() == [[2.0, 3.5], [8.0, 9.5], [12.5, 14.0]]
    kept = torch.tensor([[True, False], [False, True], [True, True]])
    assert blocks_as_weights(kept, Block(2, 2), scores.shape).int().tolist() == [
        [1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1], [1, 1, 1],
    ]  # fmt: skip
