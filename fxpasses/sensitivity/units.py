"""Units: parts of a graph that can be int8 or float on their own. A unit is one operator with its absorbed activation.

Operators that only move values (max pooling, reshape) are no units: they have the type of their input, and cost nothing
in either type.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx, nn

from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.plan import Plan, plan_quantization, shares_scale


@dataclass(frozen=True)
class Unit:
    """One operator of a FLOAT graph that can run in int8.

    Attributes:
        name: name of its node.
        path: path of the layer, ``layer1.0.conv1``; None if it is no layer.
        operator: ``conv2d``, ``add`` and so on.
        result: the tensor that holds its output on the int8 grid: that of the node, or of the absorbed activation.
        inputs: the tensors it reads on an int8 grid.
        nodes: nodes to keep in float so that the unit is float.
        weights: number of its weights.
    """

    name: str
    path: str | None
    operator: str
    result: str
    inputs: tuple[str, ...]
    nodes: tuple[str, ...]
    weights: int

    @property
    def label(self) -> str:
        """Name for the user: the layer's path, or the node's name."""
        return self.path or self.name

    @property
    def keep_float(self) -> tuple[Override, ...]:
        """Overrides that leave this unit, and nothing else, in float."""
        return tuple(Override(f"node:{name}", keep_float=True) for name in self.nodes)


def find_units(gm: fx.GraphModule, config: QuantConfig) -> list[Unit]:
    """Find every unit of a FLOAT graph, in order; nodes that ``config`` keeps in float are no units."""
    plan = plan_quantization(gm, config)
    return [_unit(gm, plan, node) for node, operator in plan.int8.items() if not shares_scale(node, operator)]


def _unit(gm: fx.GraphModule, plan: Plan, node: fx.Node) -> Unit:
    result = plan.result_of(node)
    is_layer = node.op == "call_module"
    weight = getattr(gm.get_submodule(str(node.target)), "weight", None) if is_layer else None
    return Unit(
        name=node.name,
        path=str(node.target) if is_layer else None,
        operator=plan.int8[node].name,
        result=result.name,
        inputs=tuple(dict.fromkeys(source.name for source in node.all_input_nodes if source in plan.root)),
        nodes=(node.name,) if result is node else (node.name, result.name),
        weights=weight.numel() if isinstance(weight, nn.Parameter) else 0,
    )
