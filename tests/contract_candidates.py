"""The nodes of a graph that a pass must change, or give a reason for; found independently of the pass."""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import fx

from fxpasses.graph.edit import is_floating_point, operator_name
from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.graph.shapes import shape_of


def named(*operators: str) -> Callable[[fx.GraphModule], set[str]]:
    return lambda gm: {n.name for n in gm.graph.nodes if operator_name(gm, n) in operators}


def identities_of(gm: fx.GraphModule) -> set[str]:
    spelled = ((n, VOCABULARY.spelling(gm, n)) for n in gm.graph.nodes)
    identities = {n.name for n, found in spelled if found is not None and found[0].name == "identity"}
    pools = [n for n in gm.graph.nodes if operator_name(gm, n) == "adaptive_avg_pool2d"]
    return identities | {n.name for n in pools if shape_of(n) == shape_of(n.all_input_nodes[0])}


def ends_of_written_functions(gm: fx.GraphModule) -> set[str]:
    """Activations of sums, and sums, differences, products and quotients of activations of the same tensor."""
    arithmetic, bent = ("add", "sub", "mul", "div"), ("clip", "sigmoid", "tanh", "gelu", "hardswish")
    sources: dict[fx.Node, tuple[set[fx.Node], bool, bool]] = {}
    for node in gm.graph.nodes:
        name, inputs = operator_name(gm, node), [n for n in node.all_input_nodes if n.op != "get_attr"]
        if name in (*arithmetic, *bent) and all(shape_of(n) == shape_of(node) for n in node.all_input_nodes):
            before = [sources.get(n, ({n}, False, False)) for n in inputs]
            of = set[fx.Node]().union(*(source for source, _, _ in before))
            sources[node] = (
                of,
                name in arithmetic or any(b[1] for b in before),
                name in bent or any(b[2] for b in before),
            )
    return {node.name for node, (of, *both) in sources.items() if len(of) == 1 and all(both)}


def constants_added_or_multiplied(gm: fx.GraphModule) -> set[str]:
    """Sums, differences, products and quotients of one tensor that is computed, and one number or stored tensor."""
    found = set()
    for node in gm.graph.nodes:
        reversed_ones = (operator.sub, torch.rsub, torch.ops.aten.rsub.Scalar, torch.ops.aten.rsub.Tensor)
        name = "sub" if node.target in reversed_ones else operator_name(gm, node)
        if name not in ("add", "sub", "mul", "div") or node.kwargs or not is_floating_point(node):
            continue
        computed = [a for a in node.args if isinstance(a, fx.Node) and a.op != "get_attr"]
        stored = [a for a in node.args if isinstance(a, fx.Node) and a.op == "get_attr"]
        numbers = [a for a in node.args if isinstance(a, (int, float))]
        if len(computed) == 1 and len(stored) + len(numbers) == 1 and shape_of(computed[0]) == shape_of(node):
            found.add(node.name)
    return found


def clips_in_a_row(gm: fx.GraphModule) -> set[str]:
    clips = {n for n in gm.graph.nodes if operator_name(gm, n) in ("relu", "clip")}
    return {n.name for n in clips if any(user in clips for user in n.users)}


def masked_attention(gm: fx.GraphModule) -> set[str]:
    attention = [n for n in gm.graph.nodes if operator_name(gm, n) == "scaled_dot_product_attention"]
    return {n.name for n in attention if n.kwargs.get("attn_mask") is not None}


def windowed_attention(gm: fx.GraphModule) -> set[str]:
    return {n for n in named("scaled_dot_product_attention")(gm) if len(shape_of(_node(gm, n)) or ()) == 5}


def headless_attention(gm: fx.GraphModule) -> set[str]:
    return {n for n in named("scaled_dot_product_attention")(gm) if len(shape_of(_node(gm, n)) or ()) == 3}


def _node(gm: fx.GraphModule, name: str) -> fx.Node:
    found: fx.Node = next(n for n in gm.graph.nodes if n.name == name)
    return found


def windowed_pools(gm: fx.GraphModule) -> set[str]:
    pools = [n for n in gm.graph.nodes if operator_name(gm, n) == "adaptive_avg_pool2d"]
    return {n.name for n in pools if (shape_of(n) or ())[2:] != (1, 1)}
