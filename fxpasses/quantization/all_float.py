"""The warning for a model of which nothing runs in int8: quantization leaves it as it is, with reasons."""

from __future__ import annotations

from collections import Counter

from torch import fx

from ..graph.edit import operator_of
from ..graph.pass_runner import pass_logs
from ..graph.shapes import is_float_tensor
from .numbers import ops

NO_INTEGER_FORM = "fxpasses has no integer form of it: it runs as it is, in float"
"""The reason for operators outside the vocabulary."""

_REASONS_NAMED = 3


def all_float_warning(gm: fx.GraphModule) -> str | None:
    """A sentence with the most frequent reasons if a QUANTIZED graph has no integers at all; None if it has some."""
    if any(node.target in ops.QUANTIZING for node in gm.graph.nodes):
        return None
    known = {s.node: s.why for log in pass_logs(gm) for s in log.result.skipped if s.stays_float}
    unknown = {n.name: NO_INTEGER_FORM for n in gm.graph.nodes if _computes(n) and operator_of(gm, n) is None}
    first: dict[str, str] = {}
    for node, why in (unknown | known).items():
        first.setdefault(why, node)
    named = Counter([*unknown.values(), *known.values()]).most_common(_REASONS_NAMED)
    reasons = "; ".join(f"{first[why]}: {why}" for why, _ in named)
    return f"nothing in this model runs in int8 ({reasons or 'it computes nothing'})"


def _computes(node: fx.Node) -> bool:
    return node.op in ("call_module", "call_function", "call_method") and is_float_tensor(node)
