"""The trainable twin of a QUANTIZED graph: the same numbers, with gradients."""

from __future__ import annotations

import pytest
import torch
from contracts import FIXED_BATCH
from hypothesis import given
from hypothesis import strategies as st
from int8_files import inputs_of
from tiny_graphs import X86, observed, outputs_of, own_copy, quantized
from tiny_nets.all_nets import TINY
from torch import nn

from fxpasses.export.metadata import qparams_hash
from fxpasses.quantization.int8.observe import without_observers
from fxpasses.quantization.numbers.ops import dequantize, quantize
from fxpasses.quantization.numbers.qparams import INT8_SYMMETRIC, IntType
from fxpasses.quantization.numbers.weight_groups import group_multiples
from fxpasses.quantization.rounding.learned_integers import (
    LearnedBias,
    LearnedWeight,
    dequantize_straight_through,
    quantize_straight_through,
    take_over,
    trainable_twin,
)

ZEROS = torch.zeros(1, 2, dtype=torch.int8)
NIBBLE = IntType(torch.int8, -8, 7)


FEW = ("residual_block", "two_inputs", "shared_conv_and_bn", "conv_transpose2d_bn", "embedding_linear", "silu")
NETS = [pytest.param(n, marks=[] if n in FEW else [pytest.mark.slow]) for n in sorted(set(TINY) - FIXED_BATCH)]


@pytest.mark.parametrize("name", NETS)
def test_a_twin_computes_what_its_graph_does_and_gives_its_integers_back(name: str) -> None:
    int8 = own_copy(quantized(name))
    twin, learners = trainable_twin(int8, without_observers(observed(name)), X86)
    inputs = inputs_of(name)
    for found, expected in zip(outputs_of(twin, inputs), outputs_of(int8, inputs), strict=True):
        assert torch.allclose(found.float(), expected.float(), rtol=1e-4, atol=1e-4)
    before = qparams_hash(int8)
    take_over(int8, learners)
    assert qparams_hash(int8) == before


def test_gradients_reach_weights_and_biases_and_nothing_else() -> None:
    twin, learners = trainable_twin(quantized("residual_block"), without_observers(observed("residual_block")), X86)
    twin(*inputs_of("residual_block")).square().sum().backward()
    assert {id(p) for p in twin.parameters() if p.requires_grad} == {
        id(p) for learner in learners.values() for p in learner.module.parameters()
    }
    assert all(bool(p.grad.abs().sum() > 0) for learner in learners.values() for p in learner.module.parameters())  # type: ignore[union-attr]  # all have one


@given(st.floats(-40, 40), st.floats(0.01, 3), st.integers(0, 255))
def test_straight_through_is_the_rounding_of_the_graph(x: float, scale: float, zero_point: int) -> None:
    value = torch.tensor([x], dtype=torch.float32)
    found = quantize_straight_through(value, scale, zero_point, torch.uint8)
    expected = quantize(value, scale, zero_point, torch.uint8)
    assert torch.equal(found, expected.float())
    assert torch.equal(dequantize_straight_through(found, scale, zero_point), dequantize(expected, scale, zero_point))


def test_the_gradient_is_that_of_a_clamp() -> None:
    x = torch.tensor([-9.0, 0.2, 9.0], requires_grad=True)
    quantize_straight_through(x, 0.05, 100, torch.uint8).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, pytest.approx(20.0), 0.0]


def test_weights_move_to_the_next_integer_and_stay_on_the_grid() -> None:
    weight = torch.tensor([[0.24, -5.0]])
    learned = LearnedWeight(torch.tensor([[2, -8]], dtype=torch.int8), weight, torch.tensor([0.1]), 0, NIBBLE)
    assert learned.integers().tolist() == [[2, -8]]
    with torch.no_grad():
        learned.steps.add_(0.2)
    assert learned.integers().tolist() == [[3, -8]]
    with torch.no_grad():
        learned.steps.sub_(20)
    assert learned.integers().tolist() == [[-8, -8]]
    assert torch.equal(learned(), torch.tensor([[-0.8, -0.8]]))


def test_a_weight_starts_where_it_is_told_leaning_towards_its_value() -> None:
    learned = LearnedWeight(ZEROS, torch.tensor([[0.3, -0.3]]), torch.tensor([0.1]), 0, INT8_SYMMETRIC)
    learned.start_at(torch.tensor([[1.0, -3.0]]))
    assert learned.integers().tolist() == [[1, -3]]
    assert learned.steps.tolist() == [[pytest.approx(1.45), pytest.approx(-3.0)]]


def test_a_bias_comes_back_as_it_was_and_goes_where_it_is_told() -> None:
    integers, scale = torch.tensor([4_000_000, -3, 0], dtype=torch.int32), torch.tensor([1e-6, 0.5, 2.0])
    learned = LearnedBias(integers, scale)
    assert torch.equal(learned.integers(), integers)
    learned.start_at(torch.tensor([1.0, 2.0, 8.0]))
    assert learned.integers().tolist() == [1_000_000, 4, 4]
    assert isinstance(learned.moved, nn.Parameter)


def test_groups_have_steps_of_their_own() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 16) * torch.tensor([1.0, 0.1]).repeat_interleave(8)
    scale = weight.abs().amax(1) / 120
    steps = weight / scale.unsqueeze(1)
    multiples = group_multiples(steps, NIBBLE, 8, 15)
    integers = ((steps / multiples).round().clamp(-8, 7) * multiples).to(torch.int8)
    learned = LearnedWeight(integers, weight, scale, 0, NIBBLE, (8, 15))
    assert torch.equal(learned.integers(), integers)
    assert torch.allclose(learned(), integers * scale.unsqueeze(1))
    learned.regroup(torch.tensor([1.0, 0.0] * 8).expand(3, 16))
    assert not torch.equal(learned.multiples, multiples), "half of the weights do not count any more"
    learned.start_at(3 * learned.multiples)
    assert torch.equal(learned.integers(), (3 * learned.multiples).to(torch.int8))
