"""What can be int8 or float on its own: a *unit*, one operator that computes, with the activation it absorbs.

Operators that only move values (max pooling, reshape) are no units: they follow their input, and cost nothing either
way.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx, nn

from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.plan import Plan, plan_quantization, shares_scale


@dataclass(frozen=True)
class Unit:
    """One operator of a FLOAT graph that would run in int8.

    Attributes:
        name: its node's.
        path: of the layer, ``layer1.0.conv1``; None where it is no layer.
        operator: ``conv2d``, ``add`` and so on.
        result: the tensor that holds its output on the int8 grid: the node's, or the absorbed activation's.
        inputs: the tensors it reads on an int8 grid.
        nodes: those to keep in float to keep it in float.
        weights: how many it has.
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
        """What the user calls it."""
        return self.path or self.name

    @property
    def keep_float(self) -> tuple[Override, ...]:
        """The overrides that leave it in float, and nothing else."""
        return tuple(Override(f"node:{name}", keep_float=True) for name in self.nodes)


def find_units(gm: fx.GraphModule, config: QuantConfig) -> list[Unit]:
    """Every unit of a FLOAT graph, in order; overrides of ``config`` that keep nodes in float leave them out."""
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
