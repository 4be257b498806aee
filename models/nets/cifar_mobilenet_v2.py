"""MobileNetV2 for 32x32 inputs: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.

Torchvision's net with a smaller stride in the first convolution and in the second stage, so that the last stage sees
4x4 positions and not one: the usual change for CIFAR-10. A quarter of the published widths by default.
"""

from __future__ import annotations

from torch import nn

STAGES = [
    [1, 16, 1, 1],
    [6, 24, 2, 1],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]
"""Expansion, channels, blocks and stride of each stage."""


def cifar_mobilenet_v2(width: float = 0.25, num_classes: int = 10) -> nn.Module:
    """Make a net from ``[B, 3, 32, 32]`` to logits ``[B, num_classes]``; ``width`` multiplies all channel counts."""
    from torchvision.models.mobilenetv2 import MobileNetV2  # heavy: loaded when a net is asked for

    net: nn.Module = MobileNetV2(num_classes, width, STAGES)
    first = net.get_submodule("features.0.0")
    assert isinstance(first, nn.Conv2d)
    first.stride = (1, 1)
    return net
