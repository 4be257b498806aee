"""SmoothQuant: move the wide ranges of activation channels into the weights that read them.

Channel ``j`` of a tensor that linear layers or convolutions read is divided by ``s_j`` in the layer that computes it
(the affine parameters of a LayerNorm, rows of a weight and its bias) and multiplied by ``s_j`` in the columns of the
weights that read it::

    s_j = max|x_j| ** alpha / max|w_j| ** (1 - alpha)

``alpha`` sets how much is moved into the weights: with 0 all weights have equal ranges and activations are not
considered, with 1 all activations have equal ranges. The function does not change. If several layers read one tensor,
each weight counts relative to its own largest; only ratios between channels matter.

``alpha="auto"`` rounds inputs and weights of the layers that read a tensor on a few samples, for each ``alpha`` of a
grid and without smoothing, and takes the one with the least error at their outputs.

:func:`fxpasses.equalize`, which is on by default, predicts the noise and chooses ``alpha`` for each group of channels
instead of one for all. Smoothing is the published recipe alone.

Source: Xiao et al. 2023, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models",
arXiv:2211.10438, equation 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from ...graph.edit import module_of, operator_of, why_not_replaceable
from ...graph.pass_runner import Change, PassLog, PassResult, Skip, pass_logs
from ...signature.samples import is_fixed_batch
from ..config import QuantConfig
from ..numbers import ops
from ..numbers.qparams import QParams
from ..ranges.calibration import checked_batches
from ..ranges.first_samples import first_samples
from ..ranges.range_search import qparams_of, weight_scales
from ..repair_steps import FloatStep
from ..repair_table import AUTO_ALPHA, check_smoothing
from .channel_noise import ChannelRanges
from .channel_rescaling import SAMPLES, ScalableGraph, times_columns
from .divisor_search import ALPHAS, balanced_divisors

DEFAULT_ALPHA = 0.5
TRIED = 8
"""Number of calibration samples on which ``"auto"`` rounds each layer, once for each alpha."""


def smooth(
    gm: fx.GraphModule, batches: Iterable[Any], alpha: float | str = DEFAULT_ALPHA, config: QuantConfig | None = None
) -> fx.GraphModule:
    """Move the ranges of activations into weights; the graph's results stay the same up to float rounding.

    For each linear layer and convolution the log holds the divisors of its input, or the reason for not changing it.

    Args:
        gm: a FLOAT graph, fused. It is not changed.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; the first 64 samples are used.
        alpha: from 0 to 1, or ``"auto"`` for the best of a grid for each group of channels.
        config: settings of the quantization; defaults to ``QuantConfig()``.

    Raises:
        GraphError: the graph is not FLOAT.
        InputError: ``alpha`` is out of range, there is no data, or values become NaN or infinite.
    """
    check_smoothing(alpha)
    config = config or QuantConfig()
    first, _ = first_samples(batches, SAMPLES)
    scalable = ScalableGraph.of(gm, first, config, "smooth")
    divisors = torch.ones(scalable.labels.count, dtype=torch.float64)
    for group, chosen in zip(scalable.groups, _alphas(scalable, alpha, first, config), strict=True):
        if chosen is not None:
            divisors[group.labels] = balanced_divisors(group, chosen)
    result = _account(scalable, divisors)
    scalable.rescale(divisors)
    pass_logs(scalable.gm).append(PassLog("smooth", result))
    return scalable.gm


def _as_set(gm: fx.GraphModule, first: Sequence[Any], config: QuantConfig) -> fx.GraphModule:
    assert config.smoothing is not None
    whole = replace(config, overrides=())  # so that a layer left in float does not change the others
    return smooth(gm, first, config.smoothing, whole)


STEP = FloatStep(_as_set, SAMPLES)


def _alphas(
    scalable: ScalableGraph, alpha: float | str, batches: Iterable[Any], config: QuantConfig
) -> list[float | None]:
    """The alpha of each group; None leaves it unchanged."""
    if alpha != AUTO_ALPHA:
        return [float(alpha) for _ in scalable.groups]
    tried: list[float | None] = [None, *ALPHAS]
    trials = [_divisors(scalable, a) for a in tried]
    run = _OutputErrors(scalable, trials, config)
    inputs = next(checked_batches(scalable.gm, batches))
    with torch.no_grad():
        run.run(*(inputs if is_fixed_batch(scalable.gm) else map(_few, inputs)))
    best = []
    for group in scalable.groups:
        members = set(group.labels)
        errors = sum(run.errors[n] for n, read in scalable.labels.reads.items() if read[0] in members)
        assert isinstance(errors, Tensor)  # a group has readers
        best.append(tried[int(errors.argmin())])
    return best


def _few(x: Any) -> Any:
    return x[:TRIED] if isinstance(x, Tensor) and x.dim() else x


def _divisors(scalable: ScalableGraph, alpha: float | None) -> Tensor:
    divisors = torch.ones(scalable.labels.count, dtype=torch.float64)
    for group in scalable.groups:
        divisors[group.labels] = 1.0 if alpha is None else balanced_divisors(group, alpha)
    return divisors


class _OutputErrors(fx.Interpreter):
    """Run a FLOAT graph and round each layer that reads channels, alone, once for each trial.

    Attributes:
        errors: for each layer the squared error of its output relative to the square of the output, ``[trials]``.
    """

    def __init__(self, scalable: ScalableGraph, trials: list[Tensor], config: QuantConfig) -> None:
        super().__init__(scalable.gm)
        self.scalable, self.trials, self.config = scalable, trials, config
        self.errors: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        y = super().run_node(n)
        if n in self.scalable.labels.reads:
            power = float(y.square().sum().clamp(min=1e-30))
            errors = [float((self._rounded(n, trial) - y).square().sum()) / power for trial in self.trials]
            self.errors[n] = torch.tensor(errors, dtype=torch.float64)
        return y

    def _rounded(self, node: fx.Node, trial: Tensor) -> Tensor:
        """The layer's output with its input and its weight rounded, both rescaled."""
        layer, source = module_of(self.scalable.gm, node, nn.Module), node.all_input_nodes[0]
        channels = self.scalable.labels.of[source]
        assert channels is not None
        divisors = trial[list(channels.labels)]
        q = _qparams(self.scalable.ranges[source], divisors, self.config)
        x = self.env[source] / divisors.float().reshape(-1, *[1] * (self.env[source].dim() - 1 - channels.axis))
        x = ops.dequantize(ops.quantize(x, q.scale, q.zero_point, q.grid.dtype), q.scale, q.zero_point)
        weight = times_columns(layer, layer.weight.detach().double(), divisors).float()  # type: ignore[operator]  # a layer has a weight
        grid = self.config.weight_grid(self.config.weight_bits_of(self.scalable.gm, node))
        scale = weight_scales(weight, 0, grid, search=self.config.weight_search)
        scale = scale.reshape(-1, *[1] * (weight.dim() - 1))
        weight = (weight / scale).round_().clamp_(grid.low, grid.high).mul_(scale)
        found: Tensor = functional_call(layer, {"weight": weight}, (x,))
        return found


def _qparams(ranges: ChannelRanges, divisors: Tensor, config: QuantConfig) -> QParams:
    symmetric = config.for_target.symmetric_activations
    span = float((ranges.low / divisors).amin()), float((ranges.high / divisors).amax())
    return qparams_of(span, config.activation_grid, symmetric=symmetric)


def _account(scalable: ScalableGraph, divisors: Tensor) -> PassResult:
    """The log: how the input of each linear layer and convolution was rescaled, or why not."""
    result, labels = PassResult(), scalable.labels
    movable = set(chain.from_iterable(group.labels for group in scalable.groups))
    for node in scalable.gm.graph.nodes:
        operator = operator_of(scalable.gm, node)
        if operator is None or operator.weight_axis is None:
            continue
        read = divisors[list(labels.reads.get(node, ()))]
        why = _why_left(scalable, node, movable)
        if why is None and float(read.amax()) > float(read.amin()):
            spread = float(read.amax() / read.amin())
            result.changed.append(Change(node.name, f"{len(read)} input channels divided, {spread:.3g}x at most"))
        else:
            result.skipped.append(Skip(node.name, why or "its input's channels are as even as they can be"))
    return result


def _why_left(scalable: ScalableGraph, node: fx.Node, movable: set[int]) -> str | None:
    labels, source = scalable.labels, node.all_input_nodes[0]
    read = labels.reads.get(node)
    if read is None:
        shared = why_not_replaceable(scalable.gm, node)
        if source.op == "placeholder":
            return "it reads the model's input"
        return shared or f"{source.name} is computed by no layer whose channels could be divided"
    fixed = [labels.fixed[label] for label in read if label in labels.fixed]
    if len(fixed) == len(read):
        return f"{fixed[0].name} needs its input as it is"
    return None if read[0] in movable else "its input is not int8"
