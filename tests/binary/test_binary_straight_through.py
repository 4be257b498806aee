"""Gradients: the exact one against finite differences, those of papers against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fxpasses.binary.rules import scaled_sign
from fxpasses.binary.straight_through import GRADIENTS, scaled_sign_through, straight_through
from fxpasses.graph import binary_ops as ops
from fxpasses.graph.binary_ops import sign_of

W = torch.tensor([[0.5, -0.25, 1.5, -0.125], [0.75, 0.25, -0.5, -1.0]], dtype=torch.float64)
G = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 0.25, 2.0, 1.0]], dtype=torch.float64)


def gradient_of(name: str) -> Tensor:
    w = W.clone().requires_grad_()
    made = scaled_sign_through(w, name)
    assert torch.equal(made.detach(), scaled_sign(W))
    made.backward(G)
    assert w.grad is not None
    return w.grad


def test_straight_through_hands_on_everything() -> None:
    w = W.clone().requires_grad_()
    made = straight_through(w, sign_of(W))
    made.backward(G)
    assert torch.equal(made.detach(), sign_of(W)) and w.grad is not None and torch.equal(w.grad, G)


def test_the_papers_gradient() -> None:
    m = torch.where(W.abs() >= 1, 0.0, W.abs().mean(1, keepdim=True))
    assert torch.allclose(gradient_of("paper"), G * (m + 1 / 4) * (1 - 1 / 4) * 4)


def test_the_exact_gradient_is_the_derivative_where_signs_do_not_change() -> None:
    """Only the part through the mean: the finite difference of a sign is zero there."""
    through_mean = gradient_of("exact") - torch.where(W.abs() >= 1, 0.0, W.abs().mean(1, keepdim=True) * G)
    for row in range(2):
        for column in range(4):
            moved = W.clone()
            moved[row, column] += 1e-6
            slope = ((scaled_sign(moved) - scaled_sign(W)) * G).sum() / 1e-6
            assert through_mean[row, column].item() == pytest.approx(slope.item(), abs=1e-6)


def test_reactnets_gradient_stops_outside_the_clamp() -> None:
    found = gradient_of("clamp")
    assert found[0, 2] == 0 and found[1, 3] == W[1].abs().mean() * G[1, 3]


def test_all_gradients_differ() -> None:
    assert len({tuple(gradient_of(name).flatten().tolist()) for name in GRADIENTS}) == 3


@pytest.mark.parametrize(("smooth", "slopes"), [(False, [0, 0, 1, 1, 1, 0]), (True, [0, 0, 1, 2, 1.5, 0])])
def test_the_sign_of_inputs(smooth: bool, slopes: list[float]) -> None:
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0], requires_grad=True)
    made = ops.sign(x, smooth)
    made.sum().backward()
    assert made.tolist() == [-1, -1, -1, 1, 1, 1] and x.grad is not None
    assert x.grad.tolist() == slopes


def test_sign_is_an_operator_that_shapes_can_be_asked_of() -> None:
    assert ops.sign(torch.empty(2, 3, device="meta")).shape == (2, 3)
