"""Fake quantization gives the values of the int8 operators, and the gradients of learned step sizes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import INT8_SYMMETRIC, UINT8, IntType, QParams
from fxpasses.training.fake.fake_quantize import ActivationQuantizer, positive, quantized_weight

ROUNDING = 1e-4
"""Relative error of sums of some hundred float32 products, taken in another order."""
FOUR_BITS = IntType(torch.int8, -8, 7)


def values() -> Tensor:
    return torch.randn(4, 3, 9, 7, generator=torch.Generator().manual_seed(0)) * 2


@pytest.mark.parametrize(
    "q", [QParams(0.02, 117, UINT8), QParams(0.0117, 0, UINT8), QParams(0.015, 0, INT8_SYMMETRIC)], ids=str
)
def test_forward_is_what_the_operators_compute(q: QParams) -> None:
    x = values()
    expected = ops.dequantize(ops.quantize(x, q.scale, q.zero_point, q.grid.dtype), q.scale, q.zero_point)
    expected = expected.clamp(*q.range)
    assert torch.equal(ActivationQuantizer(q, symmetric=False, learned=True)(x), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("zero_point", [0, 5])
def test_gradients_are_those_of_the_paper(layout: torch.memory_format, zero_point: int) -> None:
    x = values().contiguous(memory_format=layout).requires_grad_()
    module = ActivationQuantizer(QParams(0.25, zero_point, IntType(torch.uint8, 0, 15)), symmetric=False, learned=True)
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    module(x).backward(upstream)
    v = x.detach() / 0.25
    low, high = -zero_point, 15 - zero_point
    inside = (v >= low) & (v <= high)
    by_step = torch.where(inside, v.round() - v, v.round().clamp(low, high))
    expected = (upstream * by_step).sum() / math.sqrt(3 * 9 * 7 * (15 - zero_point))
    assert x.grad is not None and torch.equal(x.grad, upstream * inside)
    assert isinstance(module.step, torch.nn.Parameter) and module.step.grad is not None
    assert abs(float(module.step.grad) - float(expected)) < ROUNDING * float(by_step.abs().sum())


def test_gradients_of_a_weight_come_by_channel() -> None:
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(2)).requires_grad_()
    step = torch.linspace(0.05, 0.4, 5).reshape(5, 1, 1, 1).requires_grad_()
    upstream = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    rounded = quantized_weight(weight, step, FOUR_BITS)
    rounded.backward(upstream)
    v = weight.detach() / step.detach()
    inside = (v >= -8) & (v <= 7)
    by_step = torch.where(inside, v.round() - v, v.clamp(-8, 7))
    expected = (upstream * by_step).sum((1, 2, 3)) / math.sqrt(27 * 7)
    assert weight.grad is not None and torch.equal(weight.grad, upstream * inside)
    assert step.grad is not None and torch.allclose(step.grad.flatten(), expected, rtol=ROUNDING, atol=ROUNDING)
    assert torch.equal(rounded.detach(), v.round().clamp(-8, 7) * step.detach())


def test_a_step_stays_positive() -> None:
    assert positive(torch.tensor([-0.5, 0.0])).tolist() == [0.5, 2.0**-96]


def test_observed_ranges_move_in_training_alone() -> None:
    module = ActivationQuantizer(QParams(0.01, 128, UINT8), symmetric=False, learned=False)
    start = {k: v.clone() for k, v in module.state_dict().items()}
    module.eval()(values())
    assert all(torch.equal(v, start[k]) for k, v in module.state_dict().items())
    module.train()(values())
    assert not torch.equal(module.extremes, start["extremes"]) and float(module.step) > 0.01
    module.frozen.fill_(True)
    held = float(module.step)
    module(10 * values())
    assert float(module.step) == held


def test_observed_ranges_take_in_a_hundredth_of_each_batch() -> None:
    module = ActivationQuantizer(QParams(1 / 128, 0, INT8_SYMMETRIC), symmetric=True, learned=False)
    before = module.extremes.clone()
    module(values())
    expected = before + 0.01 * (torch.stack(torch.aminmax(values())) - before)
    assert torch.allclose(module.extremes, expected)


def test_nan_breaks_an_observed_range_visibly() -> None:
    module = ActivationQuantizer(QParams(0.01, 128, UINT8), symmetric=False, learned=False)
    module(torch.full((2, 2), math.nan))
    assert math.isnan(float(module.step))
