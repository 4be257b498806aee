"""Drop what computes nothing at inference: dropout, identities, pools over one element, repeated clamps.

Exact: the values that flow are the same ones.
"""

from __future__ import annotations

import math

from torch import fx

from ..canonical import bind
from ..graph_edit import bypass, only_reader, operator_name
from ..operator_table import VOCABULARY
from ..pass_runner import PassResult
from ..shapes import shape_of


def drop_identities(gm: fx.GraphModule) -> PassResult:
    """Drop dropout, ``nn.Identity``, ``contiguous``, ``detach`` and pools that return their input."""
    result = PassResult()
    for node in list(gm.graph.nodes):
        if not _is_candidate(gm, node):
            continue
        why = _why_not(gm, node)
        if why:
            result.skip(node, why)
            continue
        source = node.args[0]
        assert isinstance(source, fx.Node)
        result.change(node, f"dropped: it returns {source.name}")
        bypass(gm, node, source)
    return result


def _is_candidate(gm: fx.GraphModule, node: fx.Node) -> bool:
    found = VOCABULARY.spelling(gm, node)
    if found is not None and found[0].name == "identity":
        return True
    return operator_name(gm, node) == "adaptive_avg_pool2d" and _spatial(node) == _spatial(node.args[0])


def _spatial(node: object) -> tuple[int, ...] | None:
    shape = shape_of(node) if isinstance(node, fx.Node) else None
    return shape[2:] if shape and len(shape) == 4 else None


def _why_not(gm: fx.GraphModule, node: fx.Node) -> str | None:
    if not node.args or not isinstance(node.args[0], fx.Node):
        return "it is called with keywords only"
    found = VOCABULARY.spelling(gm, node)
    if found is None or found[0].name != "identity":
        return None
    bound = bind(gm, node, found[1]) or {}
    if "training" in found[1].parameters and bound.get("training", True) is not False:
        return "it is told to drop values at inference too (training is not False)"
    return None


def merge_clips(gm: fx.GraphModule) -> PassResult:
    """Merge a ReLU or clamp into the one that alone reads it: ``clip(clip(x, a, b), c, d)`` is one clip."""
    result = PassResult()
    for inner in list(gm.graph.nodes):
        bounds = clip_bounds(gm, inner)
        outer = only_reader(inner)
        outer_bounds = clip_bounds(gm, outer) if outer is not None else None
        if bounds is None or outer is None or outer_bounds is None:
            continue
        low, high = _compose(bounds, outer_bounds)
        result.change(inner, f"merged into {outer.name}")
        source = inner.args[0]
        assert isinstance(source, fx.Node)
        outer.replace_input_with(inner, source)
        gm.graph.erase_node(inner)
        _set_clip(gm, outer, low, high)
    return result


def clip_bounds(gm: fx.GraphModule, node: fx.Node) -> tuple[float, float] | None:
    """(low, high) of a ReLU or clamp with constant bounds; None for anything else."""
    name = operator_name(gm, node)
    if name == "relu":
        return 0.0, math.inf
    if name != "clip":
        return None
    low, high = node.kwargs.get("min", -math.inf), node.kwargs.get("max", math.inf)
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low <= high:
        return float(low), float(high)
    return None


def _compose(inner: tuple[float, float], outer: tuple[float, float]) -> tuple[float, float]:
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in inner)
    return low, high


def _set_clip(gm: fx.GraphModule, node: fx.Node, low: float, high: float) -> None:
    if (low, high) == (0.0, math.inf):
        function, settings = VOCABULARY["relu"].function, {}
    else:
        function = VOCABULARY["clip"].function
        settings = {k: v for k, v in (("min", low), ("max", high)) if math.isfinite(v)}
    assert function is not None
    with gm.graph.inserting_before(node):
        new = gm.graph.call_function(function, (node.args[0],), settings)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    gm.graph.erase_node(node)
