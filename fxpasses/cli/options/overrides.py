"""Checks that every pattern of the command line matches a node."""

from __future__ import annotations

import difflib

from torch import fx

from fxpasses.errors import InputError
from fxpasses.graph.edit import operator_name
from fxpasses.graph.pass_runner import run_passes
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.rewrites import lowering


def check_overrides(graph: fx.GraphModule, config: QuantConfig) -> None:
    """Raise InputError for a pattern that matches nothing: without the error it would silently change nothing."""
    graphs = (
        [graph, run_passes(graph, lowering(config))] if config.overrides else []
    )  # also names that exist only in the int8 graph
    for override in config.overrides:
        if any(override.matches(gm, node) for gm in graphs for node in gm.graph.nodes):
            continue
        names = [node.name for node in graph.graph.nodes]
        names += [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
        near = difflib.get_close_matches(override.match, names, n=3, cutoff=0.5)
        operators = sorted({name for node in graph.graph.nodes if (name := operator_name(graph, node))})
        raise InputError(
            f"pattern {override.match!r}",
            why="it matches no node, layer or operator of the model",
            fix=f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"its operators are {', '.join(operators)}",
        )
