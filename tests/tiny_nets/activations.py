"""Tiny nets with activation functions and their many spellings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TinyNet, tiny


def _after_conv(name: str, activation: Callable[[Any], Any]) -> TinyNet:
    """Net conv -> activation -> conv, so that the activation is neither the first nor the last node."""
    return tiny(name, lambda: OneInput(lambda net, x: net.last(activation(net.bn(net.first(x)))), first=conv(),
                                       bn=nn.BatchNorm2d(8), last=conv(8, 3, kernel=1)))  # fmt: skip


def _module_after_conv(name: str, activation: Callable[[], nn.Module]) -> TinyNet:
    return tiny(name, lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), activation(), conv(8, 3, kernel=1)))


def _chain(*activations: Callable[[Any], Any]) -> Callable[[], nn.Module]:
    """Net with one convolution before each spelling of the same function."""

    def body(net: Any, x: Tensor) -> Tensor:
        for number, activation in enumerate(activations):
            function = getattr(net, f"act{number}", activation)
            x = function(net.get_submodule(f"conv{number}")(x))
        return x

    def build() -> nn.Module:
        parts: dict[str, nn.Module] = {}
        for number, activation in enumerate(activations):
            parts[f"conv{number}"] = conv(5, 5, padding=1)
            if isinstance(activation, nn.Module):
                parts[f"act{number}"] = activation
        return OneInput(body, **parts)

    return build


ACTIVATIONS: tuple[TinyNet, ...] = (
    tiny("relu_spellings", _chain(F.relu, torch.relu, lambda x: x.relu(), nn.ReLU(), lambda x: x.clamp(min=0),
                                  lambda x: torch.clamp_min(x, 0.0), lambda x: x.clip(0))),
    tiny("relu_in_place_spellings", _chain(lambda x: x.relu_(), torch.relu_, nn.ReLU(inplace=True), F.relu_,
                                           lambda x: F.relu(x, inplace=True), lambda x: x.clamp_(min=0))),
    tiny("relu6_spellings", _chain(F.relu6, nn.ReLU6(inplace=True), lambda x: torch.clamp(x, 0, 6),
                                   lambda x: x.clamp(min=0.0, max=6.0), lambda x: F.hardtanh(x, 0.0, 6.0),
                                   nn.Hardtanh(0, 6), lambda x: x.clamp_(0, 6))),
    tiny("sigmoid_spellings", _chain(F.sigmoid, torch.sigmoid, lambda x: x.sigmoid(), nn.Sigmoid())),
    tiny("written_activations", _chain(
        lambda x: x * F.relu6(x + 3) / 6, lambda x: F.relu6(x + 3.0) / 6, lambda x: x * torch.sigmoid(x),
        lambda x: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0))),
        lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0)))),
        lambda x: x * torch.sigmoid(1.702 * x), lambda x: torch.max(x, 0.1 * x))),
    tiny("written_activation_of_two", lambda: OneInput(
        lambda net, x: (lambda y: y * F.relu6(net.one(y) + 3) / 6 + F.relu6(y + 3))(net.two(x)),
        one=conv(5, 5, padding=1), two=conv(5, 5, padding=1))),
    tiny("relu_on_input", lambda: nn.ReLU()),
    tiny("relu_twice", lambda: nn.Sequential(conv(), nn.ReLU(), nn.ReLU(), nn.ReLU6())),
    tiny("relu_then_relu6_elsewhere", lambda: OneInput(
        lambda net, x: (lambda y: torch.cat((F.relu(y), F.relu6(y), y), 1))(net.conv(x)), conv=conv())),
    tiny("linear_relu_linear", lambda: nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 4))),
    _after_conv("clamp_uneven", lambda x: torch.clamp(x, -0.7, 1.3)),
    _after_conv("clamp_min_below_zero", lambda x: torch.clamp(x, min=-0.4)),
    _after_conv("clamp_max_only", lambda x: torch.clamp(x, max=0.8)),
    _after_conv("clamp_above_zero", lambda x: torch.clamp(x, 0.25, 1.5)),
    _after_conv("hardtanh", F.hardtanh),
    _after_conv("tanh", torch.tanh),
    _after_conv("softmax", lambda x: F.softmax(x, dim=1)),
    _after_conv("leaky_relu", lambda x: F.leaky_relu(x, 0.1)),
    _after_conv("elu", F.elu),
    _module_after_conv("hardswish", lambda: nn.Hardswish(inplace=True)),
    _module_after_conv("hardsigmoid", nn.Hardsigmoid),
    _module_after_conv("silu", lambda: nn.SiLU(inplace=True)),
    _module_after_conv("gelu", nn.GELU),
    _module_after_conv("gelu_tanh", lambda: nn.GELU(approximate="tanh")),
    _module_after_conv("prelu_shared", nn.PReLU),
    _module_after_conv("prelu_per_channel", lambda: nn.PReLU(8)),
    _module_after_conv("leaky_relu_module", lambda: nn.LeakyReLU(0.02, inplace=True)),
)  # fmt: skip
