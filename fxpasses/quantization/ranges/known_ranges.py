"""Ranges that are known beforehand, like those of sigmoid and tanh, narrowed where values use a small part of them.

A gate whose values never exceed 0.02 has five levels of the grid from 0 to 1. So calibration records the largest values
of such tensors, and their range is halved as often as these values, with headroom, fit into it. Halving keeps the
fineness of the whole range a power of two of the narrow one, and a gate that uses its range keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial

from torch import Tensor, fx, nn

from ...graph.edit import module_of, submodule_path
from ...graph.shapes import carried_meta
from .deferred import DeferredEnds
from .range_search import Range

KNOWN = "fxpasses_known"
"""Name of the submodule that holds the watching modules; no model has this name."""
HEADROOM = 1.25
"""Room above the largest value of calibration: a gate that clips at less than its largest value is far from float."""
MOST_HALVINGS = 12
"""Values of any size below 2**-12 of the range get that of 2**-12; they carry no weight in a gate."""


class LargestValues(nn.Module):
    """Module that returns its input and records its smallest and largest values, on their device."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = DeferredEnds()

    def forward(self, x: Tensor) -> Tensor:
        if x.numel():
            self.ends.add(x.detach())
        return x

    @property
    def range(self) -> Range | None:
        """Smallest and largest value; None before any data."""
        low, high = self.ends.read()
        return None if (low, high) == (math.inf, -math.inf) else (low, high)


def watch_known(gm: fx.GraphModule, tensors: Iterable[fx.Node]) -> None:
    """Put a :class:`LargestValues` behind each of these tensors."""
    for node in tensors:
        name = submodule_path(f"{KNOWN}.{node.name}")
        gm.add_submodule(name, LargestValues())
        with gm.graph.inserting_after(node):
            watcher = gm.graph.call_module(name, (node,))
        watcher.meta = carried_meta(node)
        node.replace_all_uses_with(watcher, delete_user_cb=partial(_is_other, watcher))


def _is_other(own: fx.Node, user: fx.Node) -> bool:
    return user is not own


def find_known(gm: fx.GraphModule) -> list[fx.Node]:
    """The :class:`LargestValues` nodes of an OBSERVED graph."""
    return [n for n in gm.graph.nodes if n.op == "call_module" and str(n.target).startswith(f"{KNOWN}.")]


def take_out_known(gm: fx.GraphModule) -> dict[fx.Node, Range]:
    """Remove the :class:`LargestValues` nodes; return what they have seen, by the tensor they watched."""
    found = {}
    for watcher in find_known(gm):
        seen = module_of(gm, watcher, LargestValues).range
        source = watcher.all_input_nodes[0]
        if seen is not None:
            found[source] = seen
        watcher.replace_all_uses_with(source)
        gm.graph.erase_node(watcher)
    return found


def narrowed(known: Range, seen: Range) -> Range:
    """A known range, halved as often as the values seen, with headroom, fit into it.

    Args:
        known: ends of the whole range; zero is in it.
        seen: the smallest and the largest value; not finite ones leave the range as it is.
    """
    ends = [abs(value) / abs(end) for value, end in zip(seen, known, strict=True) if end]
    share = HEADROOM * max(ends, default=1.0)
    if not math.isfinite(share) or share > 0.5:
        return known
    halvings = MOST_HALVINGS if share <= 2.0**-MOST_HALVINGS else math.floor(-math.log2(share))
    return known[0] * 2.0**-halvings, known[1] * 2.0**-halvings
