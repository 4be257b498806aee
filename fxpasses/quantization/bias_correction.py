"""Where the means that correct biases come from: each weighted layer's input, channel by channel.

The formula and its source are in :mod:`fxpasses.quantization.observer_means`.
"""

from __future__ import annotations

from torch import Tensor, fx, nn

from ..graph_edit import module_of, submodule_path
from ..shapes import carried_meta
from .observer_means import ChannelMeans, mean_output_error
from .plan import Plan

MEANS = "fxpasses_means"
"""The submodule that holds the watchers, under a name no model has."""

CHANNELS, FEATURES = 1, -1
"""The dimension of a layer's input that its weight sums over: a convolution's, a linear layer's."""


def watch_means(gm: fx.GraphModule, plan: Plan) -> None:
    """Put a :class:`ChannelMeans` in front of each layer that will run in int8; layers of one input share it."""
    watchers: dict[tuple[fx.Node, int], fx.Node] = {}
    for node, operator in plan.int8.items():
        if operator.weight_axis is None:
            continue
        source, axis = node.args[0], FEATURES if operator.name == "linear" else CHANNELS
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
    """The watchers of an OBSERVED graph."""
    return [n for n in gm.graph.nodes if n.op == "call_module" and str(n.target).startswith(f"{MEANS}.")]


def take_out_means(gm: fx.GraphModule) -> dict[str, Tensor]:
    """The means, float64 ``[C_in]``, by the name of the layer's node; the watchers leave the graph.

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
    """What rounding a layer's weight adds to its outputs on average: float64 ``[C_out]``, to be taken from its bias.

    Args:
        layer: a convolution, transposed convolution or linear layer.
        error: rounded weight minus weight, in the weight's own layout.
        means: of its input's channels, ``[C_in]``.
    """
    groups = int(getattr(layer, "groups", 1))
    if not getattr(layer, "transposed", False):
        return mean_output_error(error, means, groups=groups)
    spread = 1
    for stride in layer.stride:  # type: ignore[union-attr]  # a transposed convolution has one
        spread *= int(stride)
    return mean_output_error(error, means, groups=groups, spread=spread)
