"""Make complex tensors of pairs of numbers in any layout.

``torch.view_as_complex`` wants both numbers of a pair side by side in memory. An int8 convolution has its channels
there instead, although its float twin has not. ``torch.complex`` takes both parts wherever they are. Exact.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from ...graph.meta_keys import DTYPE, SHAPE
from ...graph.shapes import carried_meta

_VIEWS = frozenset({torch.view_as_complex, torch.ops.aten.view_as_complex.default})


def open_complex_views(gm: fx.GraphModule) -> None:
    """Write ``view_as_complex(x)`` as ``complex(x[..., 0], x[..., 1])``; ``gm`` itself is changed.

    Its shapes must be recorded.
    """
    for node in list(gm.graph.nodes):
        if node.op != "call_function" or node.target not in _VIEWS or SHAPE not in node.meta:
            continue
        pairs = node.args[0] if node.args else node.kwargs["input"]
        with gm.graph.inserting_before(node):
            indices: list[Any] = [(..., part) for part in (0, 1)]  # torch.fx's types lack the ellipsis
            parts = [gm.graph.call_function(operator.getitem, (pairs, index)) for index in indices]
            made = gm.graph.call_function(torch.complex, tuple(parts))
        for part in parts:
            part.meta = {**carried_meta(node), DTYPE: pairs.meta.get(DTYPE)}
        made.meta = dict(node.meta)
        node.replace_all_uses_with(made)
        gm.graph.erase_node(node)
