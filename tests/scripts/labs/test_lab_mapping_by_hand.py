"""The linear mapping of lab 3 by hand: the course's tensor, and the same integers as the toolkit's functions."""

from __future__ import annotations

import pytest
import torch
from by_hand.mapping import (
    EXAMPLE,
    HandQuantizedLinear,
    dequantized,
    largest_possible_error,
    packed_bytes,
    quantized,
    scale_and_zero_point,
    with_hand_quantized_layers,
)
from torch import nn

import fxpasses as fx


def test_the_4x3_tensor_in_two_bits() -> None:
    scale, zero_point = scale_and_zero_point(0.0, 1.0, 2)
    assert scale == pytest.approx(1 / 3)
    assert zero_point == 0
    q = quantized(EXAMPLE, scale, zero_point, 2)
    assert q.tolist() == [[1, 2, 0], [1, 3, 2], [1, 0, 1], [2, 3, 2]]
    error = (dequantized(q, scale, zero_point) - EXAMPLE).abs()
    assert error.max().item() == pytest.approx(0.52 * -1 + 2 / 3, abs=1e-6)
    assert error.max().item() <= largest_possible_error(0.0, 1.0, 2) == pytest.approx(1 / 6)


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_toolkit_gives_the_same_integers(bits: int) -> None:
    x = torch.randn(100, generator=torch.Generator().manual_seed(bits))
    scale, zero_point = scale_and_zero_point(x.min().item(), x.max().item(), bits)
    theirs = fx.linear_parameters(x.min(), x.max(), f"uint{bits}")
    assert (theirs[0].item(), int(theirs[1])) == (scale, zero_point)
    assert torch.equal(fx.quantize_linear(x, *theirs, f"uint{bits}"), quantized(x, scale, zero_point, bits))


def test_integers_side_by_side_take_whole_bytes() -> None:
    assert [packed_bytes(12, bits) for bits in (2, 3, 8)] == [3, 5, 12]


def test_a_layer_by_hand_is_within_its_rounding() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(16, 4), torch.randn(8, 16)
    by_hand = HandQuantizedLinear(layer)
    assert by_hand.weight.dtype is torch.uint8
    with torch.no_grad():
        off = (by_hand(x) - layer(x)).abs().max().item()
        # Half a step of each input times its weights, half a step of each weight times its inputs, and both at once.
        step = (x.max() - x.min()).item() / 255
        bound = step / 2 * layer.weight.abs().sum(1).max().item()
        bound += by_hand.weight_scale / 2 * (x.abs().sum(1).max().item() + 16 * step / 2)
    assert 0 < off <= bound


def test_every_layer_is_replaced() -> None:
    net = with_hand_quantized_layers(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2))))
    assert sum(isinstance(part, HandQuantizedLinear) for part in net.modules()) == 2
    assert not any(isinstance(part, nn.Linear) for part in net.modules())
