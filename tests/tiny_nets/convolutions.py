"""Tiny nets with convolutions, linear layers and the BatchNorm around them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tiny_nets.net import CHANNELS, OneInput, TinyNet, tiny


def conv(inputs: int = CHANNELS, outputs: int = 8, kernel: int = 3, **settings: object) -> nn.Conv2d:
    """A convolution that keeps the size of its input's values, so that deep nets do not fade."""
    layer = nn.Conv2d(inputs, outputs, kernel, **settings)  # type: ignore[arg-type]
    nn.init.kaiming_normal_(layer.weight)
    return layer


def _silence_channel(net: nn.Module) -> None:
    """Make channel 2 constant: all its weights and its gamma are zero, so its scale would be too."""
    with torch.no_grad():
        for parameter in (net.get_parameter("conv.weight"), net.get_parameter("bn.weight")):
            parameter[2] = 0


CONVOLUTIONS: tuple[TinyNet, ...] = (
    tiny("conv_bn_relu", lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU())),
    tiny("conv_without_bias", lambda: conv(bias=False)),
    tiny("conv_bn_without_bias", lambda: nn.Sequential(conv(bias=False), nn.BatchNorm2d(8))),
    tiny("conv_bn_not_affine", lambda: nn.Sequential(conv(), nn.BatchNorm2d(8, affine=False))),
    tiny("conv_bn_other_eps", lambda: nn.Sequential(conv(), nn.BatchNorm2d(8, eps=0.3), nn.ReLU6())),
    tiny("conv_bn_bn", lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), nn.BatchNorm2d(8))),
    tiny("conv_relu_bn", lambda: nn.Sequential(conv(), nn.ReLU(), nn.BatchNorm2d(8))),
    tiny("conv_grouped_bn", lambda: nn.Sequential(conv(6, 9, groups=3), nn.BatchNorm2d(9)), (2, 6, 7, 9)),
    tiny("conv_depthwise_bn_relu6", lambda: nn.Sequential(
        conv(6, 12, groups=6, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU6(), conv(12, 5, kernel=1)),
         (2, 6, 7, 9)),
    tiny("conv_dilated_strided", lambda: conv(stride=2, dilation=2, padding=2)),
    tiny("conv_uneven", lambda: nn.Sequential(
        nn.Conv2d(5, 8, (3, 1), stride=(2, 1), padding=(1, 0)), nn.Conv2d(8, 3, (1, 5), padding=(0, 2)))),
    tiny("conv_padding_same", lambda: nn.Sequential(conv(kernel=5, padding="same", dilation=2), nn.BatchNorm2d(8))),
    tiny("conv_padding_reflect", lambda: nn.Sequential(conv(padding=1, padding_mode="reflect"), nn.BatchNorm2d(8))),
    tiny("conv_1x1_head", lambda: nn.Sequential(conv(kernel=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    tiny("conv1d_bn_relu", lambda: nn.Sequential(nn.Conv1d(3, 5, 3, padding=1), nn.BatchNorm1d(5), nn.ReLU()),
         (2, 3, 11)),
    tiny("conv3d_bn_relu", lambda: nn.Sequential(nn.Conv3d(2, 4, 3, bias=False), nn.BatchNorm3d(4), nn.ReLU()),
         (2, 2, 5, 6, 7)),
    tiny("conv_transpose2d_bn", lambda: nn.Sequential(
        nn.ConvTranspose2d(5, 7, 3, stride=2, output_padding=1), nn.BatchNorm2d(7), nn.ReLU())),
    tiny("conv_transpose2d_grouped_bn", lambda: nn.Sequential(
        nn.ConvTranspose2d(6, 9, 3, stride=2, groups=3, bias=False), nn.BatchNorm2d(9)), (2, 6, 4, 5)),
    tiny("conv_transpose1d_bn", lambda: nn.Sequential(nn.ConvTranspose1d(3, 5, 4, 2), nn.BatchNorm1d(5)), (2, 3, 7)),
    tiny("linear_bn1d_relu", lambda: nn.Sequential(nn.Linear(11, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)),
         (4, 11)),
    # BatchNorm1d normalises dimension 1, here the rows, not the linear layer's outputs: it must not be folded.
    tiny("linear_bn1d_over_rows", lambda: nn.Sequential(nn.Linear(11, 6), nn.BatchNorm1d(6)), (2, 6, 11)),
    tiny("linear_without_bias", lambda: nn.Linear(11, 6, bias=False), (3, 11)),
    tiny("linear_on_image", lambda: nn.Linear(7, 4)),
    tiny("bn_conv", lambda: nn.Sequential(nn.BatchNorm2d(5), conv())),
    tiny("bn_conv_grouped", lambda: nn.Sequential(nn.BatchNorm2d(6), conv(6, 9, groups=3, bias=False)), (2, 6, 7, 9)),
    # The border sees zeros, not the normalised zero, so folding would be inexact there.
    tiny("bn_conv_padded", lambda: nn.Sequential(nn.BatchNorm2d(5), conv(padding=1))),
    tiny("bn_linear", lambda: nn.Sequential(nn.BatchNorm1d(11), nn.Linear(11, 6)), (4, 11)),
    tiny("bn_relu_conv", lambda: nn.Sequential(nn.BatchNorm2d(5), nn.ReLU(), conv(padding=1))),
    tiny("bn_read_twice", lambda: OneInput(
        lambda net, x: (lambda y: net.conv(y) + net.other(y))(net.bn(x)), bn=nn.BatchNorm2d(5), conv=conv(),
        other=conv())),
    tiny("bn_dead_channel", lambda: OneInput(
        lambda net, x: F.relu(net.bn(net.conv(x))), conv=conv(), bn=nn.BatchNorm2d(8)), afterwards=_silence_channel),
    tiny("functional_conv", lambda: OneInput(
        lambda net, x: F.relu(F.conv2d(x, net.weight, net.bias, stride=2, padding=1)),
        weight=nn.Parameter(torch.randn(8, 5, 3, 3) / 7), bias=nn.Parameter(torch.randn(8)))),
    tiny("functional_linear", lambda: OneInput(
        lambda net, x: F.linear(x, net.weight), weight=nn.Parameter(torch.randn(6, 7) / 3))),
    tiny("functional_bn", lambda: OneInput(
        lambda net, x: F.batch_norm(net.conv(x), net.mean, net.variance, net.gamma, net.beta, eps=1e-3),
        conv=conv(), mean=torch.randn(8) / 2, variance=torch.rand(8) + 0.5, gamma=nn.Parameter(torch.randn(8)),
        beta=nn.Parameter(torch.randn(8)))),
)  # fmt: skip
