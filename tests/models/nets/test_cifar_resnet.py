"""CIFAR's ResNet: depth, shortcut and names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fxpasses.models.nets.cifar_resnet import CifarResNet, OptionAShortcut


@pytest.mark.parametrize(("depth", "parameters"), [(20, 0.27e6), (32, 0.46e6), (44, 0.66e6), (56, 0.85e6)])
def test_parameters_are_those_of_the_paper(depth: int, parameters: float) -> None:
    net = CifarResNet(depth)
    assert sum(value.numel() for value in net.parameters()) == pytest.approx(parameters, rel=0.02)
    assert sum(isinstance(part, (nn.Conv2d, nn.Linear)) for part in net.modules()) == depth


def test_the_shortcut_subsamples_and_pads_with_zeros() -> None:
    x = torch.randn(2, 4, 6, 6)
    y = OptionAShortcut(4, 9)(x)
    assert y.shape == (2, 9, 3, 3)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert not y[:, [0, 1, 6, 7, 8]].any()


@pytest.mark.parametrize("depth", [2, 18, 51])
def test_other_depths_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="depth must be 6n"):
        CifarResNet(depth)
