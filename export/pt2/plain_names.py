"""Rename arguments and attributes of a graph so that a reader of ``.pt2`` files accepts them: ASCII letters and digits.

Models may call a module ``größe`` or ``x y``. Names become part of source that torch.fx compiles, so ``load`` accepts
plain names only, and ``save`` writes no others: a letter that is not plain becomes ``u`` and its number,
``gru00f6u00dfe``. Exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from fxpasses.errors import InputError
from fxpasses.graph.graph_module import RecordedModule
from fxpasses.graph.ownership import tensor_at

from ..pt2_program.structure import read_structure
from ..pt2_records.names import is_attribute_path, is_identifier
from ..pt2_records.records import RefusedError

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.-]")


def has_plain_names(gm: fx.GraphModule) -> bool:
    """Whether ``load`` accepts the names of all arguments and attributes of a graph."""
    return all(_is_plain(node) for node in gm.graph.nodes)


def with_plain_names(gm: fx.GraphModule) -> fx.GraphModule:
    """The graph with other names for all that ``load`` would not accept; parameters and modules are shared."""
    graph, env = fx.Graph(), dict[fx.Node, fx.Node]()
    attributes: dict[str, Any] = {}
    renamed: dict[str, str] = {}
    for node in gm.graph.nodes:
        target = node.target
        if not _is_plain(node):
            taken = {*renamed.values(), *(str(n.target) for n in gm.graph.nodes)}
            is_right = is_identifier if node.op == "placeholder" else is_attribute_path
            target = renamed.setdefault(str(target), _plain(str(target), taken, is_right))
        if node.op == "call_module":
            attributes[target] = gm.get_submodule(str(node.target))
        elif node.op == "get_attr":
            attributes[target] = tensor_at(gm, str(node.target))
        args, kwargs = fx.map_arg((node.args, node.kwargs), env.__getitem__)
        env[node] = graph.create_node(node.op, target, args, kwargs, node.name, node.type)
        env[node].meta = dict(node.meta)
    made = RecordedModule(attributes, graph, type(gm).__name__)
    made.meta = gm.meta
    return made


def check_structure(program: ExportedProgram) -> None:
    """Raise InputError for outputs in a structure that ``load`` does not accept: named tuples, keys with quotes."""
    spec = program.call_spec.out_spec
    assert spec is not None
    fix = "return tensors, tuples, lists, or dicts whose keys are words"
    try:
        read_structure(pytree.treespec_dumps(spec), "the output")
    except RefusedError as error:
        raise InputError("this graph's output", why=f"no .pt2 file holds it: {error.why}", fix=fix) from None


def _is_plain(node: fx.Node) -> bool:
    if node.op == "placeholder":
        return is_identifier(str(node.target))
    return node.op not in ("get_attr", "call_module") or is_attribute_path(str(node.target))


def _plain(name: str, taken: set[str], is_right: Callable[[str], bool]) -> str:
    wanted = _NOT_PLAIN.sub(lambda match: f"u{ord(match[0]):04x}", name)
    candidates = [wanted, *(f"renamed_{number}" for number in range(len(taken) + 1))]
    return next(c for c in candidates if is_right(c) and c not in taken)
