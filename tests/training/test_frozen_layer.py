"""A layer on integers: exact sums, integers within their grid, gradients of the straight-through estimator."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from fxpasses.quantization.int8.weights import LARGEST_BIAS
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import UINT8, IntType, QParams
from fxpasses.training.frozen.frozen_layer import ROOM, FrozenLayer, dequantize_through, quantize_through

FOUR_BITS = IntType(torch.int8, -8, 7)
X = QParams(0.5, 3, UINT8)


def layer() -> FrozenLayer:
    weight = torch.tensor([[[[-9.0, 0.4]]], [[[7.3, -2.6]]]])
    scale = torch.tensor([0.25, 0.125])
    bias = torch.tensor([10.4, -2.0 * LARGEST_BIAS])
    return FrozenLayer(F.conv2d, {"padding": 0}, weight, bias, scale, FOUR_BITS, X, channels_last=False)


def test_integers_stay_in_their_ranges() -> None:
    made = layer()
    assert made.integer_weight().flatten().tolist() == [-8, 0, 7, -3]
    bias = made.integer_bias()
    assert bias is not None and bias.tolist() == [10, -LARGEST_BIAS] and bias.dtype == torch.int32
    assert made.weight.flatten()[0] == -8 - ROOM


def test_the_output_is_the_exact_sum_times_the_scales() -> None:
    q = torch.tensor([[[[3, 255], [0, 7]]]], dtype=torch.uint8)
    found = layer()(q).detach().flatten().tolist()
    assert found == [
        *((-8 * a + 0 * b + 10) * 0.125 for a, b in ((0, 252), (-3, 4))),
        *((7 * a - 3 * b - LARGEST_BIAS) * 0.0625 for a, b in ((0, 252), (-3, 4))),
    ]


def test_gradients_pass_rounding() -> None:
    made, q = layer(), torch.tensor([[[[5.0, 9.0]]]], requires_grad=True)
    made(q).sum().backward()
    assert made.weight.grad is not None and q.grad is not None
    assert made.weight.grad.flatten().tolist() == [0.25, 0.75, 0.125, 0.375]
    assert q.grad.flatten().tolist() == [-8 * 0.125 + 7 * 0.0625, -3 * 0.0625]


def test_distance_from_integers() -> None:
    made = layer()
    assert torch.allclose(made.off_grid().detach().flatten(), torch.tensor([0.0, 0.4, 0.0, 0.4]), atol=1e-6)


def test_quantizing_is_that_of_the_operators_with_the_gradient_of_a_clamp() -> None:
    x = torch.linspace(-3, 140, 101, requires_grad=True)
    q = quantize_through(x, X.scale, X.zero_point, torch.uint8)
    y = dequantize_through(q, X.scale, X.zero_point)
    expected = ops.quantize(x.detach(), X.scale, X.zero_point, torch.uint8)
    assert torch.equal(q.detach(), expected.float())
    assert torch.equal(y.detach(), ops.dequantize(expected, X.scale, X.zero_point))
    y.sum().backward()
    assert x.grad is not None and set(x.grad.tolist()) == {0.0, 1.0}
