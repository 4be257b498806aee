"""Tiny nets in which a module, a weight or a tensor has several readers, or none."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TinyNet, tiny


class TiedWeights(nn.Module):
    """Two linear layers with one weight tensor: changing it for one changes the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(7, 7), nn.Linear(7, 7, bias=False)
        self.second.weight = self.first.weight
        self.bn = nn.BatchNorm1d(7)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(F.relu(self.bn(self.first(x))))
        return out


SHARING: tuple[TinyNet, ...] = (
    tiny("shared_conv_and_bn", lambda: OneInput(
        lambda net, x: net.bn(net.conv(F.relu(net.bn(net.conv(x))))), conv=conv(5, 5, padding=1),
        bn=nn.BatchNorm2d(5))),
    tiny("shared_conv_two_bns", lambda: OneInput(
        lambda net, x: net.bn1(net.conv(x)) + net.bn2(net.conv(F.relu(x))), conv=conv(), bn1=nn.BatchNorm2d(8),
        bn2=nn.BatchNorm2d(8))),
    tiny("shared_conv_one_bn", lambda: OneInput(
        lambda net, x: net.bn(net.conv(x)) + net.conv(F.relu(x)), conv=conv(), bn=nn.BatchNorm2d(8))),
    tiny("shared_relu", lambda: OneInput(
        lambda net, x: net.relu(net.b(net.relu(net.a(x)))), a=conv(), b=conv(8, 3), relu=nn.ReLU())),
    tiny("shared_bn", lambda: OneInput(
        lambda net, x: net.bn(net.a(x)) + net.bn(net.b(x)), a=conv(), b=conv(), bn=nn.BatchNorm2d(8))),
    tiny("tied_weights", TiedWeights, (4, 7)),
    tiny("conv_with_two_readers", lambda: OneInput(
        lambda net, x: (lambda y: F.relu(net.bn(y)) + y)(net.conv(x)), conv=conv(), bn=nn.BatchNorm2d(8))),
    tiny("conv_read_by_relu_and_output", lambda: OneInput(
        lambda net, x: (lambda y: (F.relu(y), y))(net.conv(x)), conv=conv())),
    tiny("unused_layer", lambda: OneInput(
        lambda net, x: net.used(x), used=conv(), never_called=conv(), never_called_bn=nn.BatchNorm2d(8))),
    tiny("unused_result", lambda: OneInput(
        lambda net, x: (net.ignored(x), net.used(x))[1], used=conv(), ignored=conv())),
    tiny("pooled_twice", lambda: OneInput(
        lambda net, x: net.a(F.max_pool2d(F.relu(x), 2)) + net.b(F.max_pool2d(F.relu(x), 2)), a=conv(), b=conv())),
    tiny("nested_names", lambda: nn.Sequential(nn.Sequential(conv(), nn.Sequential(nn.BatchNorm2d(8))), nn.ReLU())),
)  # fmt: skip
