"""CIFAR's ResNet-18: the published counts, and where shortcuts are convolutions."""

from __future__ import annotations

import torch
from torch import nn

import fxpasses as fx
from fxpasses.macs import count_graph_macs
from fxpasses.models.nets.cifar_resnet18 import CIFAR_STATISTICS, CifarResNet18


def test_parameters_and_layers_are_the_published_ones() -> None:
    net = CifarResNet18()
    assert sum(value.numel() for value in net.parameters()) == 11_173_962
    kinds = [type(part) for part in net.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.Linear)) == (20, 1)


def test_products_are_the_published_half_billion() -> None:
    net = CifarResNet18().eval()
    graph = fx.fuse(fx.capture(net, (torch.zeros(1, 3, 32, 32),)))
    assert count_graph_macs(graph) == 555_422_720


def test_a_narrow_net_has_the_same_shape_and_fewer_channels() -> None:
    net = CifarResNet18(num_classes=4, width=4).eval()
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    assert net.linear.in_features == 32


def test_pixels_are_centred_as_courses_do() -> None:
    black = CIFAR_STATISTICS(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten()
    assert torch.allclose(black, torch.tensor([-2.4291, -2.4183, -2.2214]), atol=1e-4)
