"""Drop operators without effect at inference: dropout, identities, pools over one element, repeated clamps.

Exact: the values do not change.
"""

from __future__ import annotations

import math

from torch import fx

from ..graph.binding import bind
from ..graph.edit import (
    BOUNDS,
    bypass,
    clip_bounds,
    has_trait,
    is_floating_point,
    only_reader,
    operator_name,
    respell,
    why_not_plain,
)
from ..graph.operator_table import VOCABULARY
from ..graph.operators import Trait
from ..graph.pass_runner import PassResult
from ..graph.shapes import shape_of


def drop_identities(gm: fx.GraphModule) -> PassResult:
    """Drop dropout, ``nn.Identity``, ``contiguous``, ``detach`` and pools that return their input."""
    result = PassResult()
    for node in list(gm.graph.nodes):
        if not _is_candidate(gm, node):
            continue
        why = _why_not_drop(gm, node)
        if why:
            result.skip(node, why)
            continue
        source = node.all_input_nodes[0]
        result.change(node, f"dropped: it returns {source.name}")
        bypass(gm, node, source)
    return result


def _is_candidate(gm: fx.GraphModule, node: fx.Node) -> bool:
    found = VOCABULARY.spelling(gm, node)
    if found is not None and Trait.PASSES in found[0].traits:
        return True
    return has_trait(gm, node, Trait.TO_SIZE) and _spatial(node) == _spatial(node.args[0])


def _spatial(node: object) -> tuple[int, ...] | None:
    shape = shape_of(node) if isinstance(node, fx.Node) else None
    return shape[2:] if shape and len(shape) == 4 else None


def _why_not_drop(gm: fx.GraphModule, node: fx.Node) -> str | None:
    found = VOCABULARY.spelling(gm, node)
    if found is None or Trait.PASSES not in found[0].traits:
        return None
    if node.op == "call_module":
        module = gm.get_submodule(str(node.target))
        return "it is in training mode" if module.training else why_not_plain(module)
    bound = bind(gm, node, found[1]) or {}
    if "training" in found[1].parameters and bound.get("training", True) is not False:
        return "it is told to drop values at inference too (training is not False)"
    return None


def merge_clips(gm: fx.GraphModule) -> PassResult:
    """Merge a ReLU or clamp into the clamp that is its only reader: ``clip(clip(x, a, b), c, d)`` is one clip."""
    result = PassResult()
    for inner in list(gm.graph.nodes):
        outer = next((user for user in inner.users if _is_clip(gm, user)), None)
        if not _is_clip(gm, inner) or outer is None:
            continue
        why = _why_not_merge(gm, inner, outer)
        if why:
            result.skip(inner, why)
            continue
        result.change(inner, f"merged into {outer.name}")
        _become_clip(outer, *_compose(gm, inner, outer))
        bypass(gm, inner, inner.all_input_nodes[0])
    return result


def _is_clip(gm: fx.GraphModule, node: fx.Node) -> bool:
    return operator_name(gm, node) in BOUNDS


def _why_not_merge(gm: fx.GraphModule, inner: fx.Node, outer: fx.Node) -> str | None:
    if only_reader(inner) is not outer:
        return f"{outer.name} is not the only one that reads it"
    for node in (inner, outer):
        if clip_bounds(gm, node) is None:
            return f"the bounds of {node.name} are not two numbers in order"
    return None if is_floating_point(inner) else "its values are integers"


def _compose(gm: fx.GraphModule, inner: fx.Node, outer: fx.Node) -> tuple[float, float]:
    """The bounds of one clip with the effect of two: the outer clip applied to the inner bounds."""
    within, bounds = clip_bounds(gm, inner), clip_bounds(gm, outer)
    assert within is not None and bounds is not None
    low, high = (min(max(bound, bounds[0]), bounds[1]) for bound in within)
    return low, high


def _become_clip(node: fx.Node, low: float, high: float) -> None:
    relu, clip = VOCABULARY["relu"].function, VOCABULARY["clip"].function
    assert relu is not None and clip is not None
    if (low, high) == (0.0, math.inf):
        respell(node, relu)
    else:
        finite = {name: bound for name, bound in (("min", low), ("max", high)) if math.isfinite(bound)}
        respell(node, clip, **(finite or {"min": low}))  # torch.clamp wants one bound at least
