"""Change the scales of all activations of a planned graph from measured ones to tie-free ones.

See :mod:`fxpasses.quantization.numbers.tie_free` for the reason. Weight scales are chosen last, in
:mod:`fxpasses.quantization.int8.weights`, because they can be adapted to any activation scales.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx

from ...graph.edit import operator_of
from ...graph.operators import Scaling, Trait
from ...graph.shapes import shape_of
from ..numbers.qparams import QParams
from ..numbers.tie_free import lattice, tie_free_multiplier, tie_free_table_scale
from .plan import Plan, tensors_of, upper_bound

Scales = dict[fx.Node, QParams]
_ROUNDS = 3
"""Largest number of rounds. A scale changed late can affect an earlier node; rounds end early at a fixed point."""


def settle_scales(gm: fx.GraphModule, plan: Plan, measured: Mapping[fx.Node, QParams]) -> Scales:
    """Change the scales of roots so that no int8 node except layers can meet a rounding tie, where possible."""
    scales = dict(measured)
    joined = _settle_joined(gm, plan, scales)
    for _ in range(_ROUNDS):
        before = dict(scales)
        _settle_computed(plan, scales, joined)
        if scales == before:
            break
    return scales


def _settle_computed(plan: Plan, scales: Scales, joined: set[fx.Node]) -> None:
    """Change the scales of tables, products and averages, in graph order: each depends on the scales of its inputs."""
    taken: set[fx.Node] = set()
    for node, operator in plan.int8.items():
        if operator.scaling is Scaling.SHARED or operator.weight_axis is not None or Trait.JOINS in operator.traits:
            continue
        root = plan.root[plan.result_of(node)]
        if operator.elementwise:
            if root not in joined:
                _settle_table(plan, node, root, scales)
        elif root not in joined:
            _settle_product(plan, node, root, scales, operator.name)
        else:
            _settle_input(plan, node, scales, joined | taken, operator.name)
            taken |= {plan.root[t] for t in tensors_of(node)}


def is_fixed(gm: fx.GraphModule, root: fx.Node) -> bool:
    """Whether a root's scale must not change because its operator has a fixed range."""
    operator = operator_of(gm, root)
    return operator is not None and operator.scaling is Scaling.FIXED


def _settle_joined(gm: fx.GraphModule, plan: Plan, scales: Scales) -> set[fx.Node]:
    """Give all tensors that add and cat join, directly or indirectly, scales on one lattice."""
    joined: set[fx.Node] = set()
    for group in _joined_groups(plan):
        joined |= set(group)
        moved = lattice(
            [scales[r].scale for r in group],
            [_cap(gm, r, scales[r]) for r in group],
            [is_fixed(gm, r) for r in group],
        )
        for root, scale in zip(group, moved or (), strict=False):
            scales[root] = scales[root].with_scale(scale)
    return joined


def _joined_groups(plan: Plan) -> list[list[fx.Node]]:
    group_of: dict[fx.Node, list[fx.Node]] = {}
    for node, operator in plan.int8.items():
        if Trait.JOINS not in operator.traits:
            continue
        members = [plan.root[t] for t in (*tensors_of(node), plan.result_of(node))]
        merged = list(dict.fromkeys(r for m in members for r in group_of.get(m, [m])))
        for root in merged:
            group_of[root] = merged
    return list({id(group): group for group in group_of.values()}.values())


def _cap(gm: fx.GraphModule, root: fx.Node, qparams: QParams) -> float:
    """The largest scale at which the end of the integer range still clamps like the clamp before the root."""
    bound = upper_bound(gm, root)
    return bound / (qparams.grid.high - qparams.zero_point) if math.isfinite(bound) else math.inf


def _settle_product(plan: Plan, node: fx.Node, root: fx.Node, scales: Scales, name: str) -> None:
    """Make the output's scale of an average, mul or matmul tie-free; it may follow their single multiplier."""
    factor = _factor(plan, node, scales, name)
    scales[root] = scales[root].with_scale(factor / tie_free_multiplier(factor / scales[root].scale))


def _settle_input(plan: Plan, node: fx.Node, scales: Scales, held: set[fx.Node], name: str) -> None:
    """Change the scale of an input whose scale nothing else sets, for a product whose output's scale an add sets."""
    inputs = [plan.root[t] for t in tensors_of(node)]
    free = [r for r in inputs if r not in held and inputs.count(r) == 1 and _hangs_on_nothing(plan, r)]
    if free:
        wanted = _factor(plan, node, scales, name) / scales[plan.root[plan.result_of(node)]].scale
        moved = scales[free[0]].scale * tie_free_multiplier(wanted) / wanted
        scales[free[0]] = scales[free[0]].with_scale(moved)


def _hangs_on_nothing(plan: Plan, root: fx.Node) -> bool:
    """Whether a root's scale may be chosen freely: a layer's weights adapt to it, and float is rounded to any grid."""
    operator = plan.int8.get(plan.absorbed.get(root, root))
    return operator is None or operator.weight_axis is not None


def _factor(plan: Plan, node: fx.Node, scales: Scales, name: str) -> float:
    """Value of one integer step of a product, or of a sum over a window."""
    return math.prod(scales[plan.root[t]].scale for t in tensors_of(node)) / window_size(node, name)


def window_size(node: fx.Node, name: str) -> int:
    """Number of values in each average; 1 for an operator that is no average."""
    return WINDOWS[name](node) if name in WINDOWS else 1


def _input_shape(node: fx.Node) -> tuple[int, ...]:
    source = node.args[0]
    return (shape_of(source) or ()) if isinstance(source, fx.Node) else ()


def _kernel(node: fx.Node) -> int:
    kernel = node.kwargs["kernel_size"]
    return kernel * kernel if isinstance(kernel, int) else math.prod(kernel)  # type: ignore[arg-type]  # a pair


def _dimensions(node: fx.Node) -> int:
    shape, dims = _input_shape(node), node.kwargs.get("dim")
    chosen = range(len(shape)) if dims is None else [dims] if isinstance(dims, int) else dims
    return math.prod(shape[d] for d in chosen)  # type: ignore[union-attr,index,misc]  # ints, as torch.mean takes


WINDOWS: dict[str, Callable[[fx.Node], int]] = {
    "adaptive_avg_pool2d": lambda node: math.prod(_input_shape(node)[2:]),
    "avg_pool2d": _kernel,
    "mean": _dimensions,
}
"""Number of values in each average of an operator, for all that have :attr:`Trait.AVERAGES`."""


def table_of(node: fx.Node, qparams: QParams) -> Tensor:
    """Results of an elementwise node for every integer of its input: ``[levels + 1]`` float32, in order."""
    q = torch.arange(qparams.grid.low, qparams.grid.high + 1)
    x = (q - qparams.zero_point).to(torch.float32) * qparams.scale
    assert callable(node.target)
    result: Tensor = node.target(x, **node.kwargs)
    return result


def _settle_table(plan: Plan, node: fx.Node, root: fx.Node, scales: Scales) -> None:
    values = table_of(node, scales[plan.root[tensors_of(node)[0]]]).double()
    scale = tie_free_table_scale(values, scales[root].scale)
    if scale is not None:
        scales[root] = scales[root].with_scale(scale)
