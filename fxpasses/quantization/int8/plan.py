"""Decide which nodes run in int8, before the graph is changed.

A *root* is a tensor with a scale of its own; a tensor that only holds moved values of a root shares its scale. The
output of an int8 node is a root, or shares one; a float tensor that an int8 node reads is a root, too (an entrance). A
ReLU or clamp that is the only reader of an int8 node is absorbed: the activation's output is the root, and if the
integers saturate at the same values the activation costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import fx, nn

from ...graph.edit import clip_bounds, module_of, only_reader, operator_of, why_not_plain
from ...graph.meta_keys import SHAPE
from ...graph.operators import Operator, Scaling, Trait
from ...graph.shapes import is_float_tensor, shape_of
from ...signature.outputs import hands_out
from ..config import QuantConfig


@dataclass
class Plan:
    """The decisions of :func:`plan_quantization`.

    Attributes:
        int8: nodes that compute in int8, with their operator.
        why_float: nodes with a known operator that stay float, with the reason.
        float_results: nodes among ``int8`` that take integers and give floats.
        root: for each int8 tensor, the tensor whose scale it has.
        absorbed: activation -> the int8 node that absorbs it.
    """

    int8: dict[fx.Node, Operator] = field(default_factory=dict)
    why_float: dict[fx.Node, str] = field(default_factory=dict)
    float_results: set[fx.Node] = field(default_factory=set)
    root: dict[fx.Node, fx.Node] = field(default_factory=dict)
    absorbed: dict[fx.Node, fx.Node] = field(default_factory=dict)

    @property
    def roots(self) -> list[fx.Node]:
        """All tensors that need parameters, without repetition."""
        return list(dict.fromkeys(self.root.values()))

    def result_of(self, node: fx.Node) -> fx.Node:
        """The tensor that holds an int8 node's result as integers: the node itself, or the activation it absorbed."""
        return next((a for a, producer in self.absorbed.items() if producer is node), node)


def plan_quantization(gm: fx.GraphModule, config: QuantConfig, kept_float: Mapping[fx.Node, str] | None = None) -> Plan:
    """Decide for every node of a FLOAT graph whether it runs in int8; the graph is not changed.

    Args:
        gm: the graph.
        config: the settings.
        kept_float: nodes that stay float for a reason found by calibration, with the reason.
    """
    plan = Plan()
    in_float = _read_in_float(gm, config)
    for node in gm.graph.nodes:
        operator = operator_of(gm, node)
        if node in plan.absorbed or operator is None or SHAPE not in node.meta:
            continue
        why = (kept_float or {}).get(node) or why_not_int8(gm, node, operator, config, plan)
        if why is None and node in in_float and _is_light(operator):
            why = "what reads it computes in float: int8 would cost accuracy and save nothing"
        if why:
            plan.why_float[node] = why
            continue
        plan.int8[node] = operator
        if node in in_float and _can_give_floats(operator) and config.gives_floats:
            plan.float_results.add(node)
        _assign_root(gm, node, operator, config, plan)
    return plan


def _read_in_float(gm: fx.GraphModule, config: QuantConfig) -> set[fx.Node]:
    """Tensors whose readers are all float: the caller, operators without an int8 form, or cheap operators in float.

    A transformer's residual stream is an example, between LayerNorms and the next sum; another is the tensor that joins
    boxes and scores at the end of a detector. Overrides are ignored here, so that a trial with one layer in float
    changes only that layer. If ``config`` asks for integer results, the caller reads integers, too.
    """
    found: set[fx.Node] = set()
    for node in reversed(gm.graph.nodes):
        readers = [r for r in node.users if hands_out(r) or is_float_tensor(r) or _gives_several(r)]
        inside = [reader for reader in readers if not (hands_out(reader) and config.gives_floats)]
        if readers and not any(_reads_integers(gm, reader, found) for reader in inside):
            found.add(node)
    return found


def _can_give_floats(operator: Operator) -> bool:
    """Whether runtimes have a kernel that takes integers and gives floats; onnxruntime's convolutions give bytes."""
    return Trait.GIVES_FLOATS in operator.traits


def _reads_integers(gm: fx.GraphModule, node: fx.Node, in_float: set[fx.Node]) -> bool:
    if hands_out(node):
        return True
    if _gives_several(node):
        return node not in in_float
    operator = operator_of(gm, node)
    if operator is None:
        return False
    if operator.layers and operator.scaling is not Scaling.FLOAT:
        return _why_not_layer(gm, node, operator) is None
    if why_no_integer_form(node, operator) is not None:
        return False
    return not (node in in_float and (shares_scale(node, operator) or _is_light(operator)))


def _gives_several(node: fx.Node) -> bool:
    """Whether a node gives several tensors, as chunk and split do."""
    return isinstance(node.meta.get(SHAPE), list)


def _is_light(operator: Operator) -> bool:
    """Whether an operator is so cheap that int8 only pays if its readers are int8, too."""
    return operator.elementwise or Trait.LIGHT in operator.traits


def shares_scale(node: fx.Node, operator: Operator) -> bool:
    """Whether a node's output has its input's scale."""
    return operator.scaling is Scaling.SHARED or (operator.selects is not None and operator.selects(node))


def tensors_of(node: fx.Node) -> list[fx.Node]:
    """The float tensors a node computes on, in order."""
    flat: list[object] = []
    for arg in node.args:
        flat.extend(arg if isinstance(arg, (tuple, list)) else [arg])
    return [a for a in flat if isinstance(a, fx.Node) and is_float_tensor(a)]


def why_not_int8(gm: fx.GraphModule, node: fx.Node, operator: Operator, config: QuantConfig, plan: Plan) -> str | None:
    """Reason for a node to stay in float, or None."""
    if config.keeps_float(gm, node):
        return "kept in float by an override"
    if operator.layers and operator.scaling is not Scaling.FLOAT:
        return _why_not_layer(gm, node, operator)
    why = why_no_integer_form(node, operator)
    if why is None and shares_scale(node, operator) and node.args[0] not in plan.root:
        return "it only moves values, and they are float here"
    return why


def why_no_integer_form(node: fx.Node, operator: Operator) -> str | None:
    """Reason why this call of an operator other than a layer has no integer form for any input scales, or None."""
    if operator.scaling is Scaling.FLOAT:
        return operator.why_float
    if shape_of(node) is None:
        return "it gives several tensors at once"
    if not is_float_tensor(node):
        return "its values are not float32"
    if _computes_settings(node) and Trait.RUNS_ON_INTEGERS not in operator.traits:
        return "its settings are computed in the graph"
    return None if operator.refuses is None else operator.refuses(node)


def _computes_settings(node: fx.Node) -> bool:
    found: list[fx.Node] = []
    fx.node.map_arg(node.kwargs, found.append)
    return bool(found)


def _why_not_layer(gm: fx.GraphModule, node: fx.Node, operator: Operator) -> str | None:
    layer = module_of(gm, node, nn.Module)
    if not is_float_tensor(node):
        return "its values are not float32"
    if len(node.args) != 1 or node.kwargs:
        return "it is called with more than its input"
    if getattr(layer, "max_norm", None) is not None:
        return "it rescales its table as it reads it (max_norm)"
    return why_not_plain(layer) or _why_not_zeros(layer)


def _why_not_zeros(layer: nn.Module) -> str | None:
    """Reason why the padding of a layer is not in numbers of zeros, as capture writes it, or None."""
    plain = getattr(layer, "padding_mode", "zeros") == "zeros" and not isinstance(getattr(layer, "padding", None), str)
    return None if plain else "capture did not write its padding as zeros on both sides"


def _assign_root(gm: fx.GraphModule, node: fx.Node, operator: Operator, config: QuantConfig, plan: Plan) -> None:
    if Trait.LOOKS_UP in operator.traits:
        plan.root[node] = node
        return
    for source in tensors_of(node):
        plan.root.setdefault(source, source)
    if node in plan.float_results:
        return
    if shares_scale(node, operator):
        moved = node.args[0]
        assert isinstance(moved, fx.Node)
        plan.root[node] = plan.root[moved]
        return
    activation = only_reader(node) if Trait.ABSORBS in operator.traits else None
    if activation is not None and _is_absorbable(gm, activation, config):
        plan.absorbed[activation] = node
        plan.root[activation] = activation
    else:
        plan.root[node] = node


def _is_absorbable(gm: fx.GraphModule, activation: fx.Node, config: QuantConfig) -> bool:
    bounds = clip_bounds(gm, activation)
    return bounds is not None and bounds[0] == 0.0 and bounds[1] > 0 and not config.keeps_float(gm, activation)


def upper_bound(gm: fx.GraphModule, root: fx.Node) -> float:
    """The largest value that a clamp before a root allows; infinity without a clamp."""
    bounds = clip_bounds(gm, root)
    return bounds[1] if bounds is not None else math.inf
