"""Write the padding of convolutions as numbers if ``"same"`` or ``"valid"`` pads equally on both sides.

Exact: PyTorch computes such a ``"same"`` with the same kernel. An unequal one is not changed, because PyTorch pads a
copy of its input.
"""

from __future__ import annotations

import copy

from torch import fx, nn

from ..graph.ownership import owned_module

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def number_paddings(gm: fx.GraphModule) -> None:
    """Replace padding ``"same"`` or ``"valid"`` by numbers, in copies of the convolutions that share parameters."""
    twins: dict[nn.Module, nn.Module] = {}
    for node in gm.graph.nodes:
        module = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        if type(module) not in _CONVS or not isinstance(module, _CONVS):
            continue
        holder, _, name = str(node.target).rpartition(".")
        padding, parent = even_padding(module), owned_module(gm, holder)
        if padding is None or parent is None:
            continue
        if module not in twins:
            twins[module] = _with_padding(module, padding)
        parent.add_module(name, twins[module])


def even_padding(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> tuple[int, ...] | None:
    """The numbers for ``"same"`` or ``"valid"``; None if it is given in numbers, unequal, or does not pad zeros."""
    if not isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        return None
    if conv.padding == "valid":
        return (0,) * len(conv.kernel_size)
    totals = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    return None if any(t % 2 for t in totals) else tuple(t // 2 for t in totals)


def _with_padding(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, padding: tuple[int, ...]) -> nn.Module:
    twin = copy.copy(conv)
    twin._parameters = dict(conv._parameters)
    twin.padding = padding
    twin._reversed_padding_repeated_twice = [p for p in reversed(padding) for _ in range(2)]
    return twin
