"""A trainable copy of a QUANTIZED graph: gradients pass its rounding and change its weights and biases.

Rounding has no gradient. The straight-through estimator uses the gradient of the identity where rounding does not
saturate. It shows in which direction to change a weight before rounding: the parameters here are weights in steps of
their scale, which are rounded at each use.

Source: Bengio et al. 2013, "Estimating or Propagating Gradients Through Stochastic Neurons", arXiv:1308.3432.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...graph.edit import module_of
from ...graph.meta_keys import LAYER
from ...graph.ownership import replace_buffer
from ...graph.pass_runner import copy_graph
from ..config import QuantConfig
from ..int8.names import tensor_of
from ..int8.weights import LARGEST_BIAS
from ..numbers import ops
from ..numbers.qparams import IntType
from ..numbers.weight_groups import group_multiples

NEAR = 0.45
"""Largest distance of a weight from its integer at the start; clipped weights then still get a gradient."""
LEARNED = "fxpasses_learned"
"""Path of the submodule that holds the parameters; no user's model has this name."""


class _RoundStraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _round(x: Tensor) -> Tensor:
    rounded: Tensor = _RoundStraightThrough.apply(x)
    return rounded


def quantize_straight_through(x: Tensor, scale: float, zero_point: int, dtype: torch.dtype) -> Tensor:
    """Quantize as :func:`fxpasses.quantization.numbers.ops.quantize` to float integers; the gradient is a clamp's."""
    limits = torch.iinfo(dtype)
    return _round(x / scale).add(zero_point).clamp(limits.min, limits.max)


def dequantize_straight_through(q: Tensor, scale: float, zero_point: int) -> Tensor:
    """Dequantize as :func:`fxpasses.quantization.numbers.ops.dequantize`, also from float integers."""
    return q.to(torch.float32).sub(zero_point).mul(scale)


class LearnedWeight(nn.Module):
    """A weight in steps of its scale, one scale for each index of ``axis``; calling it gives the rounded weight.

    Args:
        integers: int8, the first value.
        weight: float32, of the same shape: the weight before rounding.
        scale: float32, one for each index of ``axis``.
        axis: the dimension of per-channel scales.
        grid: integer type of the weight.
        groups: number of weights in a group and the largest multiple of its step; None: no groups.
    """

    multiples: Tensor

    def __init__(
        self,
        integers: Tensor,
        weight: Tensor,
        scale: Tensor,
        axis: int,
        grid: IntType,
        groups: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        shape = [1] * weight.dim()
        shape[axis] = -1
        self.channel_scale, self.grid, self.axis, self.groups = scale, grid, axis, groups
        self.in_scales = weight.double() / scale.double().reshape(shape)
        self.steps = nn.Parameter(torch.empty_like(weight))
        self.scale = scale.reshape(shape)
        self.register_buffer("multiples", torch.ones_like(weight))
        self.regroup()
        self.start_at(integers)

    def regroup(self, importance: Tensor | None = None) -> None:
        """Choose the multiples of groups again; :meth:`start_at` must follow.

        Args:
            importance: factor of each weight's squared error, with the weight's shape; None: all equal.
        """
        if self.groups is not None:
            flat = None if importance is None else importance.double().flatten(1)
            found = group_multiples(self.in_scales.flatten(1), self.grid, *self.groups, flat)
            self.multiples.copy_(found.reshape(self.multiples.shape))

    @property
    def real(self) -> Tensor:
        """The weight before rounding, in steps."""
        return (self.in_scales / self.multiples).float()

    def start_at(self, integers: Tensor) -> None:
        """Set the integers; each step starts as near to its real value as it can without changing its integer."""
        with torch.no_grad():
            steps = integers / self.multiples
            self.steps.copy_(steps + (self.real - steps).clamp_(-NEAR, NEAR))

    def forward(self) -> Tensor:
        return _round(self.steps.clamp(self.grid.low - NEAR, self.grid.high + NEAR)) * (self.scale * self.multiples)

    def integers(self) -> Tensor:
        """The current integers, int8."""
        steps = self.steps.detach().round().clamp_(self.grid.low, self.grid.high)
        return (steps * self.multiples).to(torch.int8)


class LearnedBias(nn.Module):
    """A bias in units of its own root mean square; its steps are so small that it is rounded only at the end.

    Args:
        integers: int32, the first value.
        scale: scale of each integer.
    """

    def __init__(self, integers: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.scale, self.start = scale, integers * scale
        self.unit = float(self.start.square().mean().sqrt().clamp(min=1e-12))
        self.moved = nn.Parameter(torch.zeros_like(self.start))

    def forward(self) -> Tensor:
        return self.start + self.unit * self.moved

    def start_at(self, bias: Tensor) -> None:
        """Set the current value to this bias."""
        with torch.no_grad():
            self.moved.copy_((bias - self.start) / self.unit)

    def integers(self) -> Tensor:
        """The current integers, int32."""
        bias: Tensor = self().detach().double()
        q = (bias / self.scale.double()).round_()
        return q.clamp_(-LARGEST_BIAS, LARGEST_BIAS).to(torch.int32)


@dataclass(frozen=True)
class Learner:
    """One parameter, and the buffer of the QUANTIZED graph for its integers."""

    module: LearnedWeight | LearnedBias
    buffer: str


def trainable_twin(
    int8: fx.GraphModule, float_graph: fx.GraphModule, config: QuantConfig
) -> tuple[fx.GraphModule, dict[str, Learner]]:
    """A trainable copy of a QUANTIZED graph with the same results, and its parameters by the node that reads them.

    Args:
        float_graph: the FLOAT graph of ``int8``; its layers hold the weights before rounding.
    """
    twin = copy_graph(int8)
    twin.requires_grad_(False)
    learners: dict[str, Learner] = {}
    for node in list(twin.graph.nodes):
        if node.target is ops.quantize:
            node.target = quantize_straight_through
        elif node.target is ops.dequantize:
            node.target = dequantize_straight_through
        elif node.target is ops.dequantize_per_channel:
            learner = _learner(twin, node, float_graph, config)
            path = f"{LEARNED}.{node.name}"
            twin.add_submodule(path, learner.module)
            node.op, node.target, node.args = "call_module", path, ()
            learners[node.name] = learner
    twin.recompile()
    return twin, learners


def _learner(twin: fx.GraphModule, node: fx.Node, float_graph: fx.GraphModule, config: QuantConfig) -> Learner:
    integers, scale = (buffer_of(twin, argument) for argument in node.args[:2])
    buffer = str(node.args[0].target)  # type: ignore[union-attr]  # buffer_of has checked it
    if not buffer.endswith(".weight"):
        return Learner(LearnedBias(integers, scale), buffer)
    called = next(n for n in float_graph.graph.nodes if n.name == node.meta[LAYER])
    layer = module_of(float_graph, called, nn.Module)
    bits = config.weight_bits_of(float_graph, called)
    weight: Tensor = layer.state_dict()["weight"]
    axis = int(node.args[2])  # type: ignore[arg-type]  # the schema says int
    groups = config.weight_group(bits, weight[0].numel()) if axis == 0 else None
    return Learner(LearnedWeight(integers, weight, scale, axis, config.weight_grid(bits), groups), buffer)


def buffer_of(gm: fx.GraphModule, node: object) -> Tensor:
    """The buffer that a node reads."""
    assert isinstance(node, fx.Node) and node.op == "get_attr"
    return gm.get_buffer(str(node.target))


def take_over(int8: fx.GraphModule, learners: dict[str, Learner]) -> None:
    """Write the learned integers into the buffers of a QUANTIZED graph."""
    for learner in learners.values():
        replace_buffer(int8, learner.buffer, learner.module.integers())


def float_name(node: fx.Node) -> str:
    """Name in the float graph of a tensor of the trainable copy; empty for integers, which it does not have."""
    if node.target is dequantize_straight_through:
        return tensor_of(node.all_input_nodes[0].name)
    return "" if node.target is quantize_straight_through else node.name
