"""Write the padding of convolutions as numbers of zeros on both sides, and all other padding as a ``pad`` node.

Padding ``"same"`` and ``"valid"`` becomes numbers. What a convolution pads on one side only, and what it pads with
something other than zeros (``padding_mode``), moves to a node before it, as PyTorch's convolutions do it themselves:
they call :func:`torch.nn.functional.pad`, then the kernel. The ``output_size`` that a transposed convolution is called
with becomes its ``output_padding``. Exact. A layer with a hook is not changed, as the hook would see another input.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.nn import functional as F

from ...graph.edit import why_not_plain
from ...graph.meta_keys import SHAPE
from ...graph.ownership import owned_module, place_module
from ...graph.shapes import carried_meta, shape_of

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Padding:
    """Padding of a convolution in two parts.

    Attributes:
        inside: zeros that the convolution adds on both sides of each dimension of space, the first dimension first.
        before: what a node before it adds, in the order of :func:`torch.nn.functional.pad`; empty for nothing.
        mode: how that node pads.
    """

    inside: tuple[int, ...]
    before: tuple[int, ...] = ()
    mode: str = "constant"


def plain_paddings(gm: fx.GraphModule) -> None:
    """Split the padding of convolutions that is not in numbers of zeros, in copies that share their parameters."""
    twins: dict[nn.Module, nn.Module] = {}
    for node in list(gm.graph.nodes):
        module = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        if type(module) not in _CONVS or not isinstance(module, _CONVS):
            continue
        holder, _, name = str(node.target).rpartition(".")
        padding, parent = split_padding(module), owned_module(gm, holder)
        if padding is None or parent is None or len(node.args) != 1 or node.kwargs or why_not_plain(module):
            continue
        if module not in twins:
            twins[module] = _with_padding(module, padding.inside)
        parent.add_module(name, twins[module])
        for caller in [n for n in gm.graph.nodes if n.op == "call_module" and n.target == node.target]:
            _pad_before(gm, caller, padding)


def split_padding(conv: Conv) -> Padding | None:
    """The padding of a convolution in two parts; None if it has numbers of zeros already."""
    if not isinstance(conv.padding, str) and conv.padding_mode == "zeros":
        return None
    rank = len(conv.kernel_size)
    if conv.padding_mode != "zeros":
        before = tuple(conv._reversed_padding_repeated_twice)
        return Padding((0,) * rank, before if any(before) else (), conv.padding_mode)
    if conv.padding == "valid":
        return Padding((0,) * rank)
    totals = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    further = tuple(side for total in reversed(totals) for side in (0, total % 2))
    return Padding(tuple(total // 2 for total in totals), further if any(further) else ())


def number_output_sizes(gm: fx.GraphModule) -> None:
    """Write the ``output_size`` of calls of transposed convolutions as ``output_padding``, for the recorded shapes."""
    twins: dict[tuple[nn.Module, tuple[int, ...]], str] = {}
    for node in list(gm.graph.nodes):
        module = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not isinstance(module, _TRANSPOSED) or len(node.args) != 1 or node.kwargs.keys() != {"output_size"}:
            continue
        (source,), made = node.args, shape_of(node)
        given = shape_of(source) if isinstance(source, fx.Node) else None
        holder, _, name = str(node.target).rpartition(".")
        parent = owned_module(gm, holder)
        if made is None or given is None or parent is None or type(module) not in _TRANSPOSED or why_not_plain(module):
            continue
        padding = _output_padding(module, given, made)
        if (module, padding) not in twins:
            twin = copy.copy(module)
            twin._parameters = dict(module._parameters)
            twin.output_padding = padding
            if len([n for n in gm.graph.nodes if n.op == "call_module" and n.target == node.target]) == 1:
                delattr(parent, name)
            twins[module, padding] = place_module(gm, f"{holder}.{name}" if holder else name, twin)
        node.target, node.kwargs = twins[module, padding], {}
    gm.graph.eliminate_dead_code()
    gm.delete_all_unused_submodules()


def _output_padding(module: Transposed, given: tuple[int, ...], made: tuple[int, ...]) -> tuple[int, ...]:
    settings = (module.stride, module.padding, module.dilation, module.kernel_size)
    rank = len(module.kernel_size)
    sides = zip(given[-rank:], made[-rank:], *settings, strict=True)
    return tuple(out - ((into - 1) * s - 2 * int(p) + d * (k - 1) + 1) for into, out, s, p, d, k in sides)


def _pad_before(gm: fx.GraphModule, conv: fx.Node, padding: Padding) -> None:
    if not padding.before:
        return
    settings: dict[str, Any] = {"pad": padding.before} | ({"mode": padding.mode} if padding.mode != "constant" else {})
    with gm.graph.inserting_before(conv):
        padded = gm.graph.call_function(F.pad, (conv.args[0],), settings)
    padded.meta = {key: value for key, value in carried_meta(conv).items() if key != SHAPE}
    conv.args = (padded,)


def _with_padding(conv: Conv, padding: tuple[int, ...]) -> nn.Module:
    twin = copy.copy(conv)
    twin._parameters = dict(conv._parameters)
    twin.padding, twin.padding_mode = padding, "zeros"
    twin._reversed_padding_repeated_twice = [p for p in reversed(padding) for _ in range(2)]
    return twin
