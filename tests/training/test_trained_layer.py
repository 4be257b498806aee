"""Folding a BatchNorm keeps every integer weight, for any gamma and variance."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fxpasses.quantization.numbers.qparams import IntType
from fxpasses.training.fake.trained_layer import TrainedLayer, with_norm

FOUR_BITS = IntType(torch.int8, -8, 7)
ROUNDING = 1e-5
"""Rounding error relative to the largest output: float32 sums of 45 products."""


def layer_with(gamma: list[float], variance: list[float]) -> TrainedLayer:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor(gamma))
        norm.bias.uniform_(-1, 1)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.copy_(torch.tensor(variance))
    layer = nn.Conv2d(5, 4, 3, bias=False)
    return TrainedLayer(layer, FOUR_BITS, layer.weight.detach().abs().amax((1, 2, 3)) / 6, norm).eval()


@pytest.mark.parametrize(
    ("gamma", "variance"),
    [
        ([1.0, 0.5, 2.0, 1.0], [1.0, 0.1, 3.0, 1.0]),
        ([-1.0, 0.5, -2.0, 1.0], [1.0, 0.1, 3.0, 1.0]),
        ([0.0, -0.0, 1e-30, 1.0], [1.0, 1.0, 1.0, 1.0]),
        ([1.0, -1.0, 1.0, 1.0], [0.0, 1e-30, 1e30, 1.0]),
    ],
    ids=["plain", "negative gamma", "gamma zero", "tiny and huge variance"],
)
def test_the_folded_layer_computes_what_layer_and_norm_did(gamma: list[float], variance: list[float]) -> None:
    trained = layer_with(gamma, variance)
    folded = trained.folded()
    steps = folded.layer.weight.double() / folded.step.reshape(-1, 1, 1, 1)
    alive = (folded.step > 0).reshape(-1, 1, 1, 1)
    integers = torch.where(alive, steps, torch.zeros_like(steps)).round().clamp(-8, 7)
    x = torch.randn(2, 5, 6, 7)
    with torch.no_grad():
        expected = trained(x).double()
        weight = integers * folded.step.reshape(-1, 1, 1, 1)
        assert folded.layer.bias is not None
        found = nn.functional.conv2d(x.double(), weight, folded.layer.bias.double())
    assert bool(torch.isfinite(found).all())
    assert float((found - expected).abs().max()) <= ROUNDING * float(expected.abs().max())


def test_gradients_through_gamma_zero_are_finite() -> None:
    trained = layer_with([0.0, -1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]).train()
    trained(torch.randn(2, 5, 6, 7)).square().mean().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in trained.parameters())


def test_a_new_norm_changes_nothing_and_restores_the_length_of_rows() -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(5, 4, 3)
    with torch.no_grad():
        layer.weight[1] = 0.0
        layer.weight[2] *= 100
    x = torch.randn(64, 5, 6, 7)
    without = nn.functional.conv2d(x, layer.weight, None).detach()
    mean, variance = without.mean((0, 2, 3)), without.var((0, 2, 3), unbiased=False)
    lengths = torch.tensor([1.0, 2.0, 3.0, 4.0])
    plain, norm = with_norm(layer, lengths, mean, variance, eps=1e-5, momentum=0.1)
    with torch.no_grad():
        expected, found = layer(x), norm.eval()(plain(x))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert torch.allclose(plain.weight.detach().flatten(1).norm(dim=1), torch.tensor([1.0, 0.0, 3.0, 4.0]))


def test_a_held_norm_stays_in_eval_mode() -> None:
    trained = layer_with([1.0] * 4, [1.0] * 4)
    trained.norm_held.fill_(True)
    assert isinstance(trained.norm, nn.BatchNorm2d) and trained.train().training and not trained.norm.training
    trained.norm_held.fill_(False)
    assert trained.train().training and trained.norm.training


def test_distance_from_the_grid() -> None:
    trained = layer_with([1.0, -1.0, 1.0, 1.0], [1.0] * 4)
    off = trained.off_grid()
    rounded = trained.rounded_weight().detach()
    inside = trained.off_grid().detach().abs() > 0
    assert torch.allclose(off.detach().abs()[inside], (trained.weight.detach() - rounded).abs()[inside], atol=1e-6)
