"""Layers that keep a real weight for the optimizer and compute with a binary or ternary one.

They are subclasses of ``nn.Conv2d`` and ``nn.Linear`` outside the vocabulary of operators, so that no other pass uses
their real weight. ``deploy`` turns them into plain layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..graph.binary_ops import sign_of
from .rules import centred_and_clamped, scaled_sign, stochastic_sign, ternary
from .straight_through import GRADIENTS, scaled_sign_through, straight_through

WeightRule = Literal["sign", "stochastic", "scaled", "ternary"]
RULES: tuple[WeightRule, ...] = ("sign", "stochastic", "scaled", "ternary")


@dataclass(frozen=True)
class LatentRule:
    """Rule that makes a binary or ternary weight from a real one, and keeps the real one in range.

    Attributes:
        weights: ``"sign"`` and ``"stochastic"`` are of BinaryConnect, ``"scaled"`` of BWN and XNOR-Net, and
            ``"ternary"`` of TWN.
        gradient: gradient of ``"scaled"``; see :mod:`fxpasses.binary.straight_through`.
        centred: whether the mean over input channels is subtracted from filters before every step (BWN, XNOR-Net).
        clipped: whether real weights are kept in [-1, 1].
        by_filter: for ``"ternary"``: a threshold and a scale for each output, or one for the layer.
    """

    weights: WeightRule
    gradient: str = "paper"
    centred: bool = False
    clipped: bool = True
    by_filter: bool = True

    def __post_init__(self) -> None:
        if self.weights not in RULES:
            raise InputError(f"weights {self.weights!r}", why="there is no such rule", fix=f"use one of {RULES}")
        if self.gradient not in GRADIENTS:
            raise InputError(f"gradient {self.gradient!r}", why="there is none such", fix=f"use one of {GRADIENTS}")

    def computing(self, real: Tensor, *, training: bool) -> Tensor:
        """Binary weight to compute with. Stochastic weights are drawn in training only; at test time they are
        ``sign(w)``.
        """
        if self.weights == "scaled":
            return scaled_sign_through(real, self.gradient)
        if self.weights == "ternary":
            return straight_through(real, ternary(real.detach(), by_filter=self.by_filter))
        drawn = self.weights == "stochastic" and training
        return straight_through(real, stochastic_sign(real.detach()) if drawn else sign_of(real.detach()))

    def deployed(self, real: Tensor) -> Tensor:
        """Binary weight to deploy."""
        if self.weights == "scaled":
            return scaled_sign(real)
        return ternary(real, by_filter=self.by_filter) if self.weights == "ternary" else sign_of(real)

    def settle(self, real: Tensor) -> None:
        """Bring a real weight into its range, in place, as is needed after each step of the optimizer."""
        with torch.no_grad():
            if self.centred:
                real.copy_(centred_and_clamped(real))
            elif self.clipped:
                real.clamp_(-1, 1)


class LatentLayer:
    """Base of both kinds of layers, with ``rule`` and the real parameter ``weight``."""

    rule: LatentRule
    weight: Tensor

    def settle(self) -> None:
        """Bring the real weight into its range."""
        self.rule.settle(self.weight)

    def deployed_weight(self) -> Tensor:
        """Binary weight to deploy."""
        return self.rule.deployed(self.weight.detach())


class LatentConv2d(LatentLayer, nn.Conv2d):
    """A 2d convolution that computes with the rule's weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve as ``nn.Conv2d`` does, with the rule's weight."""
        weight = self.rule.computing(self.weight, training=self.training)
        result: Tensor = self._conv_forward(x, weight, self.bias)
        return result


class LatentLinear(LatentLayer, nn.Linear):
    """A linear layer that computes with the rule's weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply as ``nn.Linear`` does, with the rule's weight."""
        return F.linear(x, self.rule.computing(self.weight, training=self.training), self.bias)


_CONV_SETTINGS = tuple("in_channels out_channels kernel_size stride padding dilation groups padding_mode".split())


def latent_twin(layer: nn.Conv2d | nn.Linear, rule: LatentRule) -> LatentConv2d | LatentLinear:
    """Make a binary layer with the same settings and a settled copy of the weight; the given layer is not changed."""
    bias, weight = layer.bias is not None, layer.weight.detach().clone()
    twin: LatentConv2d | LatentLinear
    if isinstance(layer, nn.Linear):
        twin = LatentLinear(layer.in_features, layer.out_features, bias, dtype=weight.dtype)
    else:
        settings: dict[str, Any] = {name: getattr(layer, name) for name in _CONV_SETTINGS}
        twin = LatentConv2d(**settings, bias=bias, dtype=weight.dtype)
    twin.weight = nn.Parameter(weight)
    if layer.bias is not None:
        twin.bias = nn.Parameter(layer.bias.detach().clone())
    twin.rule = rule
    twin.settle()
    return twin.train(layer.training)


def latent_layers(module: nn.Module) -> dict[str, LatentConv2d | LatentLinear]:
    """All binary layers of a module, by path."""
    return {path: m for path, m in module.named_modules() if isinstance(m, (LatentConv2d, LatentLinear))}


def settle_latent_weights(module: nn.Module) -> None:
    """Bring all real weights into their ranges, before the first step and after each one."""
    for layer in latent_layers(module).values():
        layer.settle()
