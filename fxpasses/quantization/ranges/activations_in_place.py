"""A faster copy of a float graph for calibration: activations overwrite the tensor that their layer has just computed.

Otherwise each activation allocates memory for its result, which is most of its cost. The copy is only for running;
passes and exports use the graph itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from ...graph.edit import only_reader
from ...graph.meta_keys import DTYPE

_IN_PLACE: dict[object, Callable[..., Any]] = {torch.relu: torch.relu_, torch.clamp: torch.clamp_}
_ASKED = (F.hardswish, F.silu)
"""Functions that write in place if the argument ``inplace`` is set."""
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)


def with_activations_in_place(gm: fx.GraphModule) -> tuple[fx.GraphModule, dict[fx.Node, fx.Node]]:
    """A faster copy of a graph with the same modules, and the copy's node for each node of ``gm``.

    Its outputs are equal bit for bit. ``gm`` is not changed.
    """
    graph = copy.deepcopy(gm.graph)
    twin = fx.GraphModule(gm, graph)
    for node in graph.nodes:
        if node.op == "call_function" and node.args and len(node.all_input_nodes) == 1 and _is_free(twin, node.args[0]):
            if node.target in _IN_PLACE:
                node.target = _IN_PLACE[node.target]
            elif node.target in _ASKED:
                node.kwargs = {**node.kwargs, "inplace": True}
    twin.recompile()
    return twin, dict(zip(gm.graph.nodes, graph.nodes, strict=True))


def _is_free(gm: fx.GraphModule, source: Any) -> bool:
    """Whether a float tensor may be overwritten: it has one reader, and a layer or a sum has just allocated it."""
    if not isinstance(source, fx.Node) or only_reader(source) is None:
        return False
    dtype = source.meta.get(DTYPE)
    if dtype is None or not dtype.is_floating_point:  # a clamp of integers may give floats
        return False
    if source.op == "call_module":
        layer = gm.get_submodule(str(source.target))
        return type(layer) in _LAYERS and not (layer._forward_hooks or layer._forward_pre_hooks)
    return source.target is torch.add and all(isinstance(x, fx.Node) for x in source.args[:2])
