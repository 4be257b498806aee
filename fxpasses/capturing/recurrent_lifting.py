"""Replace ``aten.lstm`` and ``aten.gru`` of exported graphs by layers.

``torch.export`` writes a recurrent layer as one call with a list of weights. It becomes an ``nn.LSTM`` or ``nn.GRU``
that shares the same parameters and gets the initial state as an argument. Exact. A call that trains, with computed
weights, or with a projected state is not changed.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx, nn

from ..graph.meta_keys import SHAPE
from ..graph.operators import aten_name
from ..graph.ownership import place_module, tensor_at
from ..graph.shapes import carried_meta

_GATES: dict[str, tuple[type[nn.LSTM | nn.GRU], int]] = {"aten.lstm": (nn.LSTM, 4), "aten.gru": (nn.GRU, 3)}
_ARGUMENTS = "input state weights bias num_layers dropout training bidirectional batch_first".split()


def lift_recurrent(gm: fx.GraphModule) -> None:
    """Replace calls of ``aten.lstm`` and ``aten.gru`` by modules, in place."""
    lifted: dict[tuple[str, ...], str] = {}
    for node in list(gm.graph.nodes):
        if aten_name(node.target) not in _GATES or len(node.args) != len(_ARGUMENTS):
            continue
        call = dict(zip(_ARGUMENTS, node.args, strict=True))
        paths = _paths(call["weights"])
        layer = _layer(gm, node, call, paths)
        if layer is None or any(user.target is not operator.getitem for user in node.users):
            continue
        if paths not in lifted:
            lifted[paths] = place_module(gm, paths[0].rpartition(".")[0] or "recurrent", layer)
        _call(gm, node, call, lifted[paths])


def _paths(weights: Any) -> tuple[str, ...]:
    """The names of the parameters; computed weights are left out."""
    given = weights if isinstance(weights, Sequence) else ()
    return tuple(str(w.target) for w in given if isinstance(w, fx.Node) and w.op == "get_attr")


def _layer(gm: fx.GraphModule, node: fx.Node, call: dict[str, Any], paths: tuple[str, ...]) -> nn.Module | None:
    kind, gates = _GATES[str(aten_name(node.target))]
    tensors = [tensor_at(gm, path) for path in paths]
    each = 4 if call["bias"] else 2
    if call["training"] or len(paths) != each * call["num_layers"] * (2 if call["bidirectional"] else 1):
        return None
    weights = [t for t in tensors if t is not None]
    if len(weights) != len(tensors) or weights[0].shape[0] != gates * weights[1].shape[1]:
        return None
    settings = {name: call[name] for name in ("num_layers", "bias", "batch_first", "bidirectional")}
    layer = kind(weights[0].shape[1], weights[1].shape[1], **settings, device="meta")
    for (name, _), value in zip(list(layer.named_parameters()), weights, strict=True):
        setattr(layer, name, _as_parameter(value))
    return layer.eval()


def _as_parameter(value: Tensor) -> nn.Parameter:
    return value if isinstance(value, nn.Parameter) else nn.Parameter(value.detach(), requires_grad=False)


def _call(gm: fx.GraphModule, node: fx.Node, call: dict[str, Any], path: str) -> None:
    """Call the layer; ``aten.lstm`` gives ``(y, h, c)``, the layer ``(y, (h, c))``."""
    lstm = aten_name(node.target) == "aten.lstm"
    state = tuple(call["state"]) if lstm else call["state"]
    with gm.graph.inserting_before(node):
        new = gm.graph.call_module(path, (call["input"], state))
    new.meta = {key: value for key, value in carried_meta(node).items() if key != SHAPE}
    for user in list(node.users):
        index = int(user.args[1])  # type: ignore[arg-type]  # of a getitem of a tuple
        with gm.graph.inserting_before(user):
            source = gm.graph.call_function(operator.getitem, (new, 1)) if lstm and index else new
            user.args = (source, index - 1 if lstm and index else index)
    gm.graph.erase_node(node)
