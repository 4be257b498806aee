"""Settled nets: no part is the identity, no activation explodes, the same seed gives the same net."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fxpasses.models.loaded_model import example_batch
from fxpasses.models.nets.cifar_resnet import CifarResNet
from fxpasses.models.training.settle import settle


def test_a_batch_norm_is_no_longer_the_identity() -> None:
    norm = settle(nn.BatchNorm2d(64))
    x = torch.randn(2, 64, 3, 3)
    assert (norm(x) - x).abs().amax((0, 2, 3)).min() > 0.01
    assert bool((norm.weight < 0).any())
    assert bool((norm.weight > 0).any())


def test_the_seed_decides() -> None:
    first, again, other = (settle(nn.BatchNorm2d(6), seed) for seed in (3, 3, 4))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)


def test_a_very_deep_net_keeps_its_activations_in_range() -> None:
    net = settle(CifarResNet(110), example_inputs=(example_batch(2, (3, 32, 32)),))
    with torch.no_grad():
        logits = net(example_batch(8, (3, 32, 32), seed=1))
    # Without measured statistics 54 residual blocks would double the variance 54 times.
    assert 0.1 < float(logits.std()) < 30
    assert float((logits - logits.mean(0)).std()) > 0.01


def test_measured_statistics_are_those_of_the_inputs() -> None:
    inputs = torch.randn(64, 5, 9, 9) * 3 + 7
    norm = settle(nn.Sequential(nn.BatchNorm2d(5)), example_inputs=(inputs,))[0]
    torch.testing.assert_close(norm.get_buffer("running_mean"), inputs.mean((0, 2, 3)))
    assert norm.momentum == 0.1
    assert not norm.training


@pytest.mark.parametrize("norm", [nn.LayerNorm(8), nn.GroupNorm(2, 8)])
def test_other_norms_scale_and_shift(norm: nn.Module) -> None:
    settle(norm)
    assert norm.get_parameter("weight").std() > 0.05
    assert norm.get_parameter("bias").std() > 0.05


def test_placeholders_are_filled_and_real_weights_are_left() -> None:
    net = nn.Linear(8, 4)
    net.register_parameter("layer_scale", nn.Parameter(torch.full((4, 1, 1), 1e-6)))
    nn.init.zeros_(net.weight)
    kept = net.bias.clone()
    settle(net)
    assert net.weight.std() > 0.1
    assert net.get_parameter("layer_scale").min() >= 0.1
    assert torch.equal(net.bias, kept)


def test_zero_biases_get_values_and_constant_weights_keep_theirs() -> None:
    net = nn.Conv2d(3, 4, 1)
    nn.init.zeros_(net.bias)  # type: ignore[arg-type]
    nn.init.ones_(net.weight)
    settle(net)
    assert net.bias is not None
    assert net.bias.abs().min() > 0
    assert torch.equal(net.weight, torch.ones_like(net.weight))


def test_a_net_without_norms_does_not_fade() -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(20) for layer in (nn.Linear(32, 32), nn.ReLU())]
    net = settle(nn.Sequential(*layers), example_inputs=(torch.randn(2, 32),))
    with torch.no_grad():
        outputs = net(torch.randn(16, 32))
    # Torch's own initialisation has variance 1 / (3 fan-in): after 20 ReLU layers a factor 6 ** -20 is left.
    assert float((outputs - outputs.mean(0)).std()) > 0.05


def test_norms_without_parameters_or_statistics_are_left_alone() -> None:
    bare = settle(nn.BatchNorm2d(3, affine=False, track_running_stats=False))
    assert list(bare.state_dict()) == []
