"""The share of the tiny nets on which the default suite tries everything; the slow tests try the others.

``daily_nets.txt`` lists the share. :func:`share_of` chooses it from what the nets hold: every operator, every kind of
layer, every setting and every structure is in at least one net of the share. ``tests/test_share.py`` chooses it anew
and compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from torch import fx, nn

from fxpasses.graph.edit import operator_name
from fxpasses.graph.meta_keys import DTYPE

LISTED = Path(__file__).with_name("daily_nets.txt")
DAILY = frozenset(LISTED.read_text(encoding="utf-8").split())
"""Names of the nets of the share."""
_SETTINGS = ("stride", "padding", "dilation", "groups", "padding_mode", "output_padding", "bias", "ceil_mode")


def each_net(names: Iterable[str]) -> list[str | ParameterSet]:
    """Parameters of a test that tries every net: those outside the share are marked slow.

    Names that are no tiny net's are never slow.
    """
    from tiny_nets.all_nets import TINY

    slow = TINY.keys() - DAILY
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


def features(gm: fx.GraphModule) -> set[str]:
    """Everything about a captured graph that no share may be without."""
    calls = [node for node in gm.graph.nodes if node.op.startswith("call_")]
    found = set[str]()
    for node in calls:
        operator = f"operator {operator_name(gm, node) or node.target}"
        found |= {operator, f"{operator} of {len(node.all_input_nodes)} tensors"}
        if node.op == "call_module":
            found |= set(_of_layer(gm.get_submodule(str(node.target))))
    found |= set(_of_structure(gm, calls))
    return found


def _of_layer(layer: nn.Module) -> Iterator[str]:
    kind = type(layer).__name__
    yield f"layer {kind}"
    for name in _SETTINGS:
        value = getattr(layer, name, None)
        first = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, (int, str)):
            yield f"{name} {first if isinstance(first, str) else min(int(first), 2)}"
        elif name == "bias" and hasattr(layer, name):
            yield f"bias of {kind}: {value is not None}"


def _of_structure(gm: fx.GraphModule, calls: list[fx.Node]) -> Iterator[str]:
    targets = [node.target for node in calls if node.op == "call_module"]
    inputs = [node for node in gm.graph.nodes if node.op == "placeholder"]
    output = next(node for node in gm.graph.nodes if node.op == "output")
    yield f"{len(inputs)} inputs"
    yield from (f"input of {node.meta.get(DTYPE)}" for node in inputs)
    yield f"output is a {type(output.args[0]).__name__}"
    if len(targets) > len(set(targets)):
        yield "a layer is called twice"
    if any(len(node.users) > 1 for node in calls):
        yield "a tensor is read twice"
    if any(node.op == "get_attr" for node in gm.graph.nodes):
        yield "a parameter is read"
    if len({id(p) for p in gm.parameters()}) < len(list(gm.named_parameters(remove_duplicate=False))):
        yield "a parameter is shared"


def share_of(found: Mapping[str, set[str]]) -> list[str]:
    """Names of few nets that have every feature together: again and again the net with most features still missing."""
    missing, chosen = set[str]().union(*found.values()), list[str]()
    while missing:
        best = min(found, key=lambda name: (-len(found[name] & missing), name))
        chosen.append(best)
        missing -= found[best]
    return sorted(chosen)
