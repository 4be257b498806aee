"""Fake quantization: round to a grid and back in float, with gradients for the rounded tensor and for the step.

With ``v = x / s`` and ``q = clamp(round(v) + z, low, high)`` the output is ``(q - z) * s``. Rounding passes the
gradient straight through (Bengio et al. 2013). The gradient of the step is ``round(v) - v`` inside the grid and the
grid's end outside, times ``1 / sqrt(N * Q)`` with ``N`` values that share the step and ``Q`` levels above zero. With
this factor steps learn as fast as weights.

Source: Esser et al. 2020, "Learned Step Size Quantization", arXiv:1902.08153, sections 2.1 and 2.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...quantization.numbers.qparams import SMALLEST_SCALE, IntType, QParams, affine_qparams, symmetric_qparams
from ...quantization.ranges.deferred import is_remote
from .remote_ranges import mapping_of, within

MOMENTUM = 0.01
"""Momentum of observed ranges: share of each training batch's extremes in the moving average."""


class _ByTensor(torch.autograd.Function):
    """Fake quantization with one step for a tensor. It saves its input and output, which other
    operators keep anyway.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, zero_point: int | Tensor, grid: IntType, weight: float) -> Tensor:
        low: Any = grid.low - zero_point
        high: Any = grid.high - zero_point
        y = (x / step).clamp_(low, high).round_().mul_(step)
        ctx.save_for_backward(x, y, step)
        ctx.ends, ctx.weight = (low, high), weight
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, step = ctx.saved_tensors
        s = step if is_remote(step) else float(step)
        # The end itself counts as inside: zero is the low end of a ReLU's output.
        margin = s * 2.0**-20
        low, high = ctx.ends[0] * s - margin, ctx.ends[1] * s + margin
        to_x = _within(gradient, x, low, high)
        if not ctx.needs_input_grad[1]:
            return to_x, None, None, None, None
        # Inside the grid (y - x) / s, outside y / s, computed without a tensor of either.
        to_step = (_dot(gradient, y) - _dot(to_x, x)) / s * ctx.weight
        return to_x, to_step.reshape(step.shape), None, None, None


def _within(gradient: Tensor, x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """The gradient where ``x`` lies between two ends, else 0."""
    if isinstance(low, Tensor) and isinstance(high, Tensor):
        return within(gradient, x, low, high)
    found: Tensor = torch.ops.aten.hardtanh_backward(gradient, x, low, high)
    return found


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum of products; a single pass if both tensors have the same memory layout."""
    if a.stride() == b.stride() and (a.is_contiguous() or a.is_contiguous(memory_format=_channels_last(a))):
        return torch.dot(*(t.as_strided((t.numel(),), (1,)) for t in (a, b)))
    return (a * b).sum()


def _channels_last(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dim() == 4 else torch.contiguous_format


class _ByChannel(torch.autograd.Function):
    """Fake quantization with one step for each index of the dimension in which ``step`` is not 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int, weight: float) -> Tensor:
        v = x / step
        q = v.round().clamp_(low, high)
        ctx.save_for_backward(v, q)
        ctx.ends, ctx.weight, ctx.shape = (low, high), weight, step.shape
        return q * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        v, q = ctx.saved_tensors
        inside = (v >= ctx.ends[0]) & (v <= ctx.ends[1])
        to_step = (gradient * (q - v * inside)).sum_to_size(ctx.shape) * ctx.weight
        return gradient * inside, to_step, None, None, None


def quantized_weight(weight: Tensor, step: Tensor, grid: IntType) -> Tensor:
    """Round a weight to its grid, in float; ``step`` broadcasts against it and has one value for each channel."""
    share = weight.numel() // step.numel()
    found: Tensor = _ByChannel.apply(weight, step, grid.low, grid.high, 1 / math.sqrt(share * max(1, grid.high)))
    return found


def positive(step: Tensor) -> Tensor:
    """Positive value of a learned step, because gradients may make the parameter negative."""
    return step.abs().clamp_min(SMALLEST_SCALE)


@dataclass(frozen=True)
class _OnHost:
    """Values of an :class:`ActivationQuantizer` that the CPU keeps: a learned range's zero point, and ``frozen``."""

    zero_point: int
    frozen: bool = False


def _read_again(module: nn.Module, _: object) -> None:
    """Read what a checkpoint put into the tensors."""
    assert isinstance(module, ActivationQuantizer)
    module._known = _OnHost(int(module.zero_point), bool(module.frozen))


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to its own grid. In training its step is learned, or follows the extremes of batches.

    In eval mode, and once ``frozen`` is set, none of its values changes. All of them have a fixed shape from the
    beginning.

    Args:
        start: initial mapping. The zero point of a learned range stays.
        symmetric: whether the zero point of an observed range is 0.
        learned: whether the step is a parameter, rather than observed.
    """

    zero_point: Tensor
    frozen: Tensor
    extremes: Tensor

    def __init__(self, start: QParams, *, symmetric: bool, learned: bool) -> None:
        super().__init__()
        self.grid, self.symmetric, self.learned = start.grid, symmetric, learned
        step = torch.tensor([start.scale], dtype=torch.float32)
        if learned:
            self.step: Tensor = nn.Parameter(step)
        else:
            self.register_buffer("step", step)
        self.register_buffer("zero_point", torch.tensor([start.zero_point], dtype=torch.int32))
        self.register_buffer("frozen", torch.tensor(False))
        self.register_buffer("extremes", torch.tensor(start.range, dtype=torch.float32))
        self._known = _OnHost(start.zero_point)
        self.register_load_state_dict_post_hook(_read_again)  # type: ignore[no-untyped-call]  # torch's own

    def forward(self, x: Tensor) -> Tensor:
        # on a GPU, reading a tensor would wait for all that was asked of it before
        remote = is_remote(x)
        frozen = self._known.frozen if remote else bool(self.frozen)
        if self.training and not self.learned and not frozen:
            self._observe(x.detach())
        step = positive(self.step) if not frozen else positive(self.step.detach())
        if remote and not self.learned:
            ends_move = self.zero_point.to(step.dtype)
            observed: Tensor = _ByTensor.apply(x, step.detach(), ends_move, self.grid, 0.0)
            return observed
        features = max(1, x.numel() // max(1, x.shape[0])) if x.dim() else 1
        zero_point = self._known.zero_point if remote else int(self.zero_point)
        weight = 1 / math.sqrt(features * max(1, self.grid.high - zero_point))
        y: Tensor = _ByTensor.apply(x, step, zero_point, self.grid, weight)
        return y

    def hold(self) -> None:
        """Stop observing: the range no longer changes."""
        self.frozen.fill_(True)
        self._known = replace(self._known, frozen=True)

    def qparams(self) -> QParams:
        """Current step and zero point; NaN or infinity is kept."""
        return QParams(float(positive(self.step.detach())), int(self.zero_point), self.grid)

    def start_at(self, q: QParams) -> None:
        """Set the mapping; the grid must be the same."""
        assert q.grid == self.grid
        with torch.no_grad():
            self.step.fill_(q.scale)
            self.zero_point.fill_(q.zero_point)
            self.extremes.copy_(torch.tensor(q.range))
        self._known = replace(self._known, zero_point=q.zero_point)

    def _observe(self, x: Tensor) -> None:
        low, high = torch.aminmax(x)
        found = torch.stack((low, high)).to(self.extremes)
        self.extremes.lerp_(found, MOMENTUM)
        if is_remote(x):
            step, zero_point = mapping_of(self.extremes, self.grid, symmetric=self.symmetric)
            self.step.copy_(step)
            self.zero_point.copy_(zero_point)
            return
        low_end, high_end = self.extremes.tolist()
        if math.isfinite(low_end) and math.isfinite(high_end):
            choose = symmetric_qparams if self.symmetric else affine_qparams
            q = choose(min(low_end, 0.0), max(high_end, 0.0), self.grid)
            self.step.fill_(q.scale)
            self.zero_point.fill_(q.zero_point)
        else:
            self.step.fill_(math.nan)
