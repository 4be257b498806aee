"""Tiny nets with add, mul and cat, in-place operations and views."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tiny_nets.convolutions import conv
from tiny_nets.net import BATCH, IMAGE, OneInput, TinyNet, TwoInputs, tiny


class ResidualBlock(nn.Module):
    """Block ``relu(bn(conv(relu(bn(conv(x))))) + x)``, in the in-place spelling of torchvision."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, channels, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv(channels, channels, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x
        out: Tensor = self.relu(y)
        return out


class PaddedShortcut(nn.Module):
    """Shortcut A of CIFAR's ResNet: every second pixel, zeros for the new channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = conv(5, 8, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2))
        return F.relu(self.bn(self.conv(x)) + shortcut)


class InPlaceWithOtherReader(nn.Module):
    """Net with ``y.relu_()`` after ``y`` was kept: the later reader of ``y`` gets the changed values, too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(5, 8, padding=1), conv(8, 8, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        positive = y.relu_()
        out: Tensor = self.second(positive) + y
        return out


class InPlaceOnView(nn.Module):
    """The ReLU writes through a view: half the channels of ``y`` change although ``y`` is never named."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(5, 8), conv(8, 3, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        half = y[:, :4]
        half.relu_()
        out: Tensor = self.second(y)
        return out


def _added_in_place(x: Tensor, y: Tensor) -> Tensor:
    x += y
    return x


def _two_convs() -> dict[str, nn.Module]:
    return {"a": conv(padding=1), "b": conv(padding=1)}


ARITHMETIC: tuple[TinyNet, ...] = (
    tiny("residual_block", lambda: nn.Sequential(ResidualBlock(5), ResidualBlock(5))),
    tiny("residual_padded_shortcut", PaddedShortcut),
    tiny("in_place_relu_with_other_reader", InPlaceWithOtherReader),
    tiny("in_place_relu_on_view", InPlaceOnView),
    tiny("add_spellings", lambda: OneInput(
        lambda net, x: torch.add(net.a(x) + net.b(x), net.a(x)).add(net.b(x)) + _added_in_place(net.b(x), net.a(x)),
        **_two_convs())),
    tiny("add_scaled", lambda: OneInput(lambda net, x: torch.add(net.a(x), net.b(x), alpha=2), **_two_convs())),
    tiny("add_in_place_relu", lambda: OneInput(lambda net, x: net.a(x).add_(net.b(x)).relu_(), **_two_convs())),
    tiny("add_relu6", lambda: OneInput(lambda net, x: F.relu6(net.a(x) + net.b(x)), **_two_convs())),
    tiny("add_to_itself", lambda: OneInput(lambda net, x: (lambda y: y + y)(net.a(x)), a=conv())),
    tiny("add_broadcast", lambda: OneInput(
        lambda net, x: net.a(x) + net.b(x).mean((2, 3), keepdim=True), **_two_convs())),
    tiny("mul", lambda: OneInput(lambda net, x: torch.mul(net.a(x), net.b(x)) * net.a(x), **_two_convs())),
    tiny("sub", lambda: OneInput(lambda net, x: net.a(x) - torch.sub(net.b(x), x[:, :1]), **_two_convs())),
    tiny("scalars", lambda: OneInput(
        lambda net, x: 2 * (net.a(x) + 0.5) - (1 - net.b(x)) / 4 + (3 + net.a(x)) * -0.5, **_two_convs())),
    tiny("scaled_input", lambda: OneInput(
        lambda net, x: net.last(F.relu(net.a((x - 0.5) * 0.25)) * 3), a=conv(), last=conv(8, 3))),
    tiny("negation", lambda: OneInput(lambda net, x: -net.a(x) + torch.neg(net.b(x)), **_two_convs())),
    tiny("constant_added", lambda: OneInput(
        lambda net, x: net.a(x) + net.position, a=conv(padding=1), position=torch.randn(8, 9, 7) / 2)),
    tiny("parameter_scaled", lambda: OneInput(
        lambda net, x: net.a(x) * net.gamma + x[:, :1], a=conv(padding=1), gamma=nn.Parameter(torch.rand(8, 1, 1)))),
    tiny("cat", lambda: OneInput(lambda net, x: F.relu(torch.cat([net.a(x), net.b(x), x], dim=1)), **_two_convs())),
    tiny("cat_same_twice", lambda: OneInput(
        lambda net, x: net.last((lambda y: torch.cat((y, y), 1))(net.a(x))), a=conv(), last=conv(16, 3))),
    tiny("cat_rows", lambda: OneInput(
        lambda net, x: torch.cat((net.a(x), net.b(x), torch.zeros(BATCH, 8, 1, 7)), -2), **_two_convs())),
    tiny("two_inputs", lambda: TwoInputs(
        lambda net, x, y: F.relu(net.a(x) + net.b(y)), a=conv(5, 8), b=conv(3, 8, padding=1)), IMAGE, (2, 3, 7, 5)),
    tiny("two_outputs", lambda: OneInput(
        lambda net, x: (lambda y: (net.b(y), F.relu(y)))(net.a(x)), a=conv(), b=conv(8, 3))),
    tiny("dict_output", lambda: OneInput(
        lambda net, x: {"features": net.a(x), "logits": net.b(x).mean((2, 3))}, **_two_convs())),
)  # fmt: skip
