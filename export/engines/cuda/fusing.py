"""Merging of a sum into the layer in front of it, if nothing else reads the layer's result."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Set

from torch import fx

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.quantization.int8.int8_calls import Int8Call

from ..kernel import Kernel
from ..replace_calls import assembled
from .layers import SummingLayer, WithSum
from .pointwise import CudaAdd


def take_in_sums(net: fx.GraphModule, calls: Mapping[fx.Node, Int8Call], proved: Set[str]) -> fx.GraphModule:
    """A lowered graph whose sums are merged into the layers in front of them.

    Args:
        net: the net that ``lower`` made. It is not changed, and its kernels are shared.
        calls: the integer operations it was made of.
        proved: integer tensors that float32 rounds as exact arithmetic does.
    """
    by_kernel = {f"int8_{call.name}": call for call in calls.values()}
    kernels = {name: child for name, child in net.named_children() if isinstance(child, Kernel)}
    graph = copy.deepcopy(net.graph)
    for node in list(graph.nodes):
        if node.op != "call_module" or not isinstance(kernels.get(node.target), CudaAdd):
            continue
        layer = _layer_to_extend(node, kernels)
        if layer is None:
            continue
        own, add = by_kernel[str(layer.target)], by_kernel[node.target]
        if len({tuple(operand.meta[SHAPE]) for operand in add.inputs}) > 1:
            continue  # one operand is repeated
        kernel = kernels[str(layer.target)]
        assert isinstance(kernel, SummingLayer)
        both = own.name in proved and add.name in proved
        kernels[node.target] = WithSum(kernel, own, add, both)
        other = next(n for n in node.all_input_nodes if n is not layer)
        node.args = (layer.args[0], other)
        graph.erase_node(layer)
    return assembled(graph, net, kernels)


def _layer_to_extend(add: fx.Node, kernels: Mapping[str, Kernel]) -> fx.Node | None:
    """The layer to merge a sum of two tensors into: the last one that only the sum reads; None if there is none."""
    read = add.all_input_nodes
    alone = [n for n in read if len(n.users) == 1 and n.op == "call_module"]
    layers = [n for n in alone if isinstance(kernels.get(str(n.target)), SummingLayer)]
    if len(read) != 2 or not layers:
        return None
    order = {node: place for place, node in enumerate(add.graph.nodes)}
    return max(layers, key=order.__getitem__)
