"""CIFAR's MobileNetV2: the published counts, strides for small images, other widths."""

from __future__ import annotations

import torch

import fxpasses as fx
from fxpasses.macs import count_graph_macs
from fxpasses.models.nets.cifar_mobilenet_v2 import cifar_mobilenet_v2


def test_parameters_are_the_published_ones() -> None:
    assert sum(value.numel() for value in cifar_mobilenet_v2(1.0).parameters()) == 2_236_682


def test_the_last_stage_sees_four_by_four_positions() -> None:
    features = cifar_mobilenet_v2().eval().get_submodule("features")
    assert features(torch.zeros(1, 3, 32, 32)).shape == (1, 1280, 4, 4)


def test_half_of_the_widths_is_less_than_a_third_of_the_products() -> None:
    narrow, wide = (
        count_graph_macs(fx.fuse(fx.capture(cifar_mobilenet_v2(width).eval(), (torch.zeros(1, 3, 32, 32),))))
        for width in (0.5, 1.0)
    )
    assert 3 * narrow < wide


def test_other_classes() -> None:
    assert cifar_mobilenet_v2(0.25, num_classes=4).eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
