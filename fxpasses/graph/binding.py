"""Read the arguments of a call by their canonical names, whether they were passed by position or by name."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from .operators import Spelling

_OTHER_NAMES = {
    "axis": "dim", "keepdims": "keepdim", "tensors": "input", "self": "input", "mat2": "other",
}  # fmt: skip
"""Names that torch accepts besides its own parameter names."""


def bind(gm: fx.GraphModule, node: fx.Node, spelling: Spelling) -> dict[str, Any] | None:
    """A node's arguments by canonical name; None if the vocabulary does not know this form of the call."""
    names = spelling.parameters
    if node.op == "call_module":
        module = gm.get_submodule(str(node.target))
        given = {n: getattr(module, n) for n in names}
        given["input"] = node.args[0] if node.args else node.kwargs.get("input")
    else:
        args = list(node.args)
        if spelling.variadic and not (len(args) == len(names) and _is_sequence(args[-1])) and len(args) >= len(names):
            args[len(names) - 1 :] = [tuple(args[len(names) - 1 :])]
        if len(args) > len(names):
            return None
        given = dict(zip(names, args, strict=False))
        given |= {n if n in names else _OTHER_NAMES.get(n, n): v for n, v in node.kwargs.items()}
    bound = dict(spelling.fixed) | {spelling.rename.get(n, n): v for n, v in given.items()}
    return spelling.convert(bound) if spelling.convert else bound


def _is_sequence(value: object) -> bool:
    """Whether an argument is a sequence of sizes: a tuple or list, or a ``torch.Size`` computed in the graph."""
    if not isinstance(value, fx.Node):
        return isinstance(value, (tuple, list))
    if value.target is getattr:
        return bool(value.args[1] == "shape")
    if value.op == "call_method":
        return bool(value.target == "size") and len(value.args) == 1 and not value.kwargs
    if value.target is operator.getitem:
        return isinstance(value.args[1], slice)
    return value.target is operator.add and any(_is_sequence(a) for a in value.args)
