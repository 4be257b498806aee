"""Bias correction: subtract from a layer's bias the mean error that rounding its weights adds to its output.

Rounding moves weight ``w[o, i]`` by ``e[o, i]``, the same for every input, so the error of output channel ``o`` is
``sum_i e[o, i] * mean(x_i)`` on average, where ``e`` is summed over the kernel and ``x_i`` is input channel ``i``. With
few weights per channel (depthwise: 9) such offsets are most of the error. The correction is exact for linear layers.
For convolutions it ignores zero padding: positions at the border count like positions inside.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", arXiv:1906.04721,
section 4.2, with measured instead of derived means.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from ...graph.edit import module_of, submodule_path
from ...graph.shapes import carried_meta
from ..ranges.deferred import is_remote
from ..ranges.histogram import finite_range, require_finite
from ..ranges.observers import NothingObserved
from .plan import Plan

MEANS = "fxpasses_means"
"""Path of the submodule that holds the :class:`ChannelMeans` modules; no user's model has this name."""


def watch_means(gm: fx.GraphModule, plan: Plan) -> None:
    """Put a :class:`ChannelMeans` in front of each layer that will run in int8; layers of one input share it."""
    watchers: dict[tuple[fx.Node, int], fx.Node] = {}
    for node, operator in plan.int8.items():
        if operator.weight_axis is None:
            continue
        source, axis = node.args[0], operator.channel_axis  # of its input: what the weight sums over
        assert isinstance(source, fx.Node)
        watcher = watchers.get((source, axis))
        if watcher is None:
            name = submodule_path(f"{MEANS}.{node.name}")
            gm.add_submodule(name, ChannelMeans(axis))
            with gm.graph.inserting_after(source):
                watcher = watchers[source, axis] = gm.graph.call_module(name, (source,))
            watcher.meta = carried_meta(source)
        node.replace_input_with(source, watcher)


def find_means(gm: fx.GraphModule) -> list[fx.Node]:
    """The :class:`ChannelMeans` nodes of an OBSERVED graph."""
    return [n for n in gm.graph.nodes if n.op == "call_module" and str(n.target).startswith(f"{MEANS}.")]


def take_out_means(gm: fx.GraphModule) -> dict[str, Tensor]:
    """Remove the :class:`ChannelMeans` nodes; return the means, float64 ``[C_in]``, by the name of the layer's node.

    Raises:
        NothingObserved: no data has passed one of them.
    """
    found: dict[str, Tensor] = {}
    for watcher in find_means(gm):
        means = module_of(gm, watcher, ChannelMeans).means
        found |= {user.name: means for user in watcher.users}
        watcher.replace_all_uses_with(watcher.all_input_nodes[0])
        gm.graph.erase_node(watcher)
    return found


def output_error(layer: nn.Module, error: Tensor, means: Tensor) -> Tensor:
    """Mean error that rounding a layer's weight adds to its outputs: float64 ``[C_out]``, to subtract from its bias.

    Args:
        layer: a convolution, transposed convolution or linear layer.
        error: rounded weight minus weight, in the weight's own layout.
        means: means of the input's channels, ``[C_in]``.
    """
    groups = int(getattr(layer, "groups", 1))
    if not getattr(layer, "transposed", False):
        return mean_output_error(error, means, groups=groups)
    spread = 1
    for stride in layer.stride:  # type: ignore[union-attr]  # a transposed convolution has one
        spread *= int(stride)
    return mean_output_error(error, means, groups=groups, spread=spread)


class ChannelMeans(nn.Module):
    """Module that returns its input and records the mean of each channel; it stores one number per channel.

    Args:
        axis: the channel dimension of the input: 1 for a convolution, -1 for a linear layer.
    """

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self._sums: Tensor | None = None
        self._values = 0

    def forward(self, x: Tensor) -> Tensor:
        if x.numel():
            self._take_in(x.detach() if x.requires_grad else x)
        return x

    @property
    def means(self) -> Tensor:
        """Mean of each channel, float64 ``[C]``.

        Raises:
            NothingObserved: no value has been seen.
        """
        if self._sums is None:
            raise NothingObserved
        sums = self._sums.cpu()
        require_finite(float(sums.min()), float(sums.max()))  # on a GPU nobody has looked yet
        return sums / self._values

    def _take_in(self, x: Tensor) -> None:
        axis = self.axis % x.dim()
        inside = [d for d in range(1, x.dim()) if d != axis]
        by_sample = x.sum(inside, dtype=x.dtype if x.dtype == torch.float64 else torch.float32) if inside else x
        sums = by_sample.sum(0, dtype=torch.float64) if axis else by_sample.double()  # however the samples are batched
        if not is_remote(sums):
            finite_range(sums)
        if self._sums is None:
            with torch.inference_mode(False):  # what is made in inference mode could not be added to outside of it
                self._sums = torch.zeros(len(sums), dtype=torch.float64, device=sums.device)
        elif self._sums.device != sums.device:  # calibrated once here and once there
            self._sums = self._sums.to(sums.device)
        self._sums.add_(sums)
        self._values += x.numel() // len(sums)


def mean_output_error(error: Tensor, means: Tensor, *, groups: int = 1, spread: int | None = None) -> Tensor:
    """Mean error of a layer's output channels: float64 ``[C_out]``, to subtract from its bias.

    Args:
        error: rounded weight minus weight: ``[C_out, C_in / groups, ...kernel]``, for transposed convolutions
            ``[C_in, C_out / groups, ...kernel]``, for linear layers ``[C_out, C_in]``.
        means: means of the input's channels, ``[C_in]``.
        spread: for transposed convolutions, the number of outputs per input, which is the product of the strides. On
            average one output reads ``1 / spread`` of the kernel.
    """
    summed = error.double().flatten(2).sum(2) if error.dim() > 2 else error.double()
    by_group = summed.reshape(groups, -1, summed.shape[1])
    if spread is not None:
        by_group = by_group.transpose(1, 2) / spread
    return (by_group @ means.double().reshape(groups, -1, 1)).flatten()
