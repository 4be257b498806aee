"""The batch is found by running the model; a graph that has it fixed is told of in one warning."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from fxpasses.signature.free_sizes import FreeSizes
from fxpasses.signature.model_batches import learned_dims, warn_of_fixed


class Texts(nn.Module):
    """Images and texts ``[T, B, C]``, with numbers of their own."""

    def forward(self, x: Tensor, *, text: Tensor) -> Tensor:
        return x @ text.cumsum(0).mean(0).t()


INPUTS = torch.randn(2, 6), torch.randn(5, 4, 6)


def test_each_input_has_its_own_place() -> None:
    model = Texts()
    expected = model(INPUTS[0], text=INPUTS[1])
    assert learned_dims(model, INPUTS, ("text",), expected) == ({0: "batch"}, {1: "batch_1"})


def test_nothing_is_learned_where_samples_are_mixed() -> None:
    class Mixes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(0).cumsum(1)

    assert learned_dims(Mixes(), INPUTS[:1], (), Mixes()(INPUTS[0])) == ({},)


def test_a_fixed_batch_is_told_once_with_what_to_pass() -> None:
    dims = ({0: "batch"}, {1: "batch_1"})
    with pytest.warns(UserWarning, match=r"batch of text only.*dynamic=\{'text': \{1: 'batch_1'\}\}") as told:
        warn_of_fixed(Texts(), INPUTS, ("text",), dims, FreeSizes(({0: "batch"}, {}), ({0: "batch"},)))
    assert len(told) == 1


def test_nothing_is_told_where_all_are_free() -> None:
    dims = ({0: "batch"}, {1: "batch_1"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_fixed(Texts(), INPUTS, ("text",), dims, FreeSizes(dims, ({0: "batch"},)))
