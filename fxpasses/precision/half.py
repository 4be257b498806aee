"""A FLOAT graph that computes in half precision: ``fp16`` (IEEE 754 binary16) or ``bf16`` (bfloat16).

Parameters and constants are rounded to the type (half to even), activations are cast at the inputs, and back to float32
at the outputs, so the interface does not change. Lossy: ``fp16`` keeps 11 significant bits up to 65504, ``bf16`` keeps
8 over the whole range of float32. Norms, layers with a weight beyond 65504, nodes that torch has no kernel for in half
precision, and those that the caller wants in float stay in float32 between two casts.

Reference: Micikevicius et al. 2018, "Mixed Precision Training", arXiv:1710.03740; Kalamkar et al. 2019, "A Study of
BFLOAT16 for Deep Learning Training", arXiv:1905.12322.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..errors import GraphError, InputError
from ..graph.edit import is_floating_point, operator_name
from ..graph.meta_keys import DTYPE
from ..graph.pass_runner import PassResult, copy_graph, run_passes
from ..graph.shapes import carried_meta
from ..graph.stages import Stage, graph_facts, set_stage
from ..quantization.config import Override
from .lowered import NoKernelError, finish

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
"""The dtype of each precision, by name."""

NORMS = ("layer_norm", "group_norm")
_NORM = (
    "mean and variance of many values need float32, as under torch.autocast; and onnxruntime 1.31's CPU kernel for it "
    "in half precision crashes the process"
)


def to_half(gm: fx.GraphModule, precision: str, keep_float: Sequence[str] = ()) -> fx.GraphModule:
    """Lower a FLOAT graph to half precision; inputs and outputs stay float32.

    Args:
        gm: a fused FLOAT graph, which is not changed.
        precision: ``"fp16"`` or ``"bf16"``.
        keep_float: patterns of nodes, layers or operators that stay in float32.

    Returns:
        A LOWERED graph; its pass log says for every layer whether it is in half precision, or the reason why not.

    Raises:
        InputError: the precision is unknown.
        GraphError: the graph is not FLOAT or not in float32, or torch computes one of its nodes in neither precision.
    """
    if precision not in HALVES:
        raise InputError(f"precision {precision!r}", why="it is no half precision", fix=f"use {' or '.join(HALVES)}")
    names, without_kernel = {node.name for node in gm.graph.nodes}, dict[str, str]()
    while True:
        lowered = run_passes(gm, [LowerToHalf(precision, tuple(keep_float), without_kernel)])
        graph_facts(lowered).precision = precision
        set_stage(lowered, Stage.LOWERED)
        try:
            return finish(lowered)
        except NoKernelError as error:
            if error.node in without_kernel or error.node not in names:
                raise
            without_kernel[error.node] = f"torch has no kernel for it in {precision}"


def rounded_to_half(gm: fx.GraphModule, lowered: fx.GraphModule) -> fx.GraphModule:
    """A FLOAT graph that computes in float32 with the rounded weights of a graph made by :func:`to_half`.

    For runtimes without kernels for half precision: they can store the type, and compute in float32.
    """
    twin = copy_graph(gm)
    rounded = dict(lowered.named_parameters()) | dict(lowered.named_buffers())
    with torch.no_grad():
        for name, value in (*twin.named_parameters(), *twin.named_buffers()):
            if value.is_floating_point():
                value.copy_(rounded[name])
    return twin


@dataclass(frozen=True)
class LowerToHalf:
    """The pass of :func:`to_half`."""

    precision: str
    keep_float: tuple[str, ...] = ()
    without_kernel: Mapping[str, str] = field(default_factory=dict)
    """Reason for further nodes to stay in float32, by name."""

    def __call__(self, gm: fx.GraphModule) -> PassResult:
        result, dtype = PassResult(), HALVES[self.precision]
        kept = {node: why for node in gm.graph.nodes if (why := self.why_float(gm, node))}
        kept_modules = {id(gm.get_submodule(str(n.target))) for n in kept if n.op == "call_module"}
        for node in list(gm.graph.nodes):
            if node.op == "placeholder" and node.meta.get(DTYPE) is torch.float32:
                _cast_after(gm, node, dtype)
            elif node.op == "get_attr":
                _round_attribute(gm, str(node.target), dtype)
            elif node.op == "output":
                _cast_inputs(gm, node, torch.float32)
            elif node.op == "call_module" and id(gm.get_submodule(str(node.target))) in kept_modules:
                result.stay_float(node, kept.get(node, "its layer does at another call"))
                _between_casts(gm, node, dtype)
            elif node in kept:
                result.stay_float(node, kept[node])
                _between_casts(gm, node, dtype)
            elif node.op == "call_module":
                gm.get_submodule(str(node.target)).to(dtype)
                result.change(node, self.precision)
            else:
                node.kwargs = _with_dtype(node.kwargs, dtype)
                node.args = _with_dtype(node.args, dtype)
                if _begins_floats(node):
                    _cast_after(gm, node, dtype)
        return result

    def why_float(self, gm: fx.GraphModule, node: fx.Node) -> str | None:
        """Reason for a node to stay in float32, or None."""
        if node.op not in ("call_module", "call_function", "call_method"):
            return None
        for pattern in self.keep_float:
            if Override(pattern, keep_float=True).matches(gm, node):
                return f"asked for by {pattern!r}"
        if node.name in self.without_kernel:
            return self.without_kernel[node.name]
        made = node.meta.get(DTYPE)
        if isinstance(made, torch.dtype) and made.is_complex:
            return "no runtime has complex numbers in half precision"
        if operator_name(gm, node) in NORMS:
            return _NORM
        if node.op == "call_module" and not _fits(gm.get_submodule(str(node.target)), HALVES[self.precision]):
            return f"a weight is beyond {torch.finfo(HALVES[self.precision]).max:.0f}, the largest {self.precision}"
        return None


def _fits(module: nn.Module, dtype: torch.dtype) -> bool:
    largest = torch.finfo(dtype).max
    tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point() and t.numel()]
    return all(float(t.detach().abs().max()) <= largest for t in tensors)


def _round_attribute(gm: fx.GraphModule, name: str, dtype: torch.dtype) -> None:
    path, _, last = name.rpartition(".")
    owner = gm.get_submodule(path)
    value = getattr(owner, last)
    if not isinstance(value, Tensor) or value.dtype is not torch.float32:
        return
    rounded = value.detach().to(dtype)
    if dtype is torch.bfloat16:  # the lowest float32, which masks hold, rounds to -inf; the lowest bfloat16 is near
        rounded = torch.where(value.isfinite(), rounded.nan_to_num(), rounded)
    setattr(owner, last, nn.Parameter(rounded, requires_grad=False) if isinstance(value, nn.Parameter) else rounded)


def _with_dtype(value: Any, dtype: torch.dtype) -> Any:
    """Replace ``torch.float32`` in arguments: ``torch.zeros(..., dtype=torch.float32)`` must create halves, too."""
    return fx.node.map_aggregate(value, lambda given: dtype if given is torch.float32 else given)


def _begins_floats(node: fx.Node) -> bool:
    """Whether a node makes float32 from what has another type, as ``torch.linspace`` and ``mask.float()`` do."""
    calls = node.op in ("call_function", "call_method")
    return calls and node.meta.get(DTYPE) is torch.float32 and not any(map(_is_half_here, node.all_input_nodes))


def _is_half_here(source: fx.Node) -> bool:
    return source.meta.get(DTYPE) is torch.float32


def _cast(gm: fx.GraphModule, source: fx.Node, dtype: torch.dtype) -> fx.Node:
    cast = gm.graph.call_method("to", (source,), {"dtype": dtype})
    cast.meta = carried_meta(source)
    return cast


def _cast_after(gm: fx.GraphModule, node: fx.Node, dtype: torch.dtype) -> None:
    with gm.graph.inserting_after(node):
        cast = _cast(gm, node, dtype)
    node.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)


def _cast_inputs(gm: fx.GraphModule, node: fx.Node, dtype: torch.dtype) -> None:
    for source in node.all_input_nodes:
        if is_floating_point(source):
            with gm.graph.inserting_before(node):
                node.replace_input_with(source, _cast(gm, source, dtype))


def _between_casts(gm: fx.GraphModule, node: fx.Node, dtype: torch.dtype) -> None:
    dtype_there = node.meta.get(DTYPE)
    if dtype_there is not None and dtype_there.is_complex:  # what reads it makes floats of it again
        _cast_inputs(gm, node, torch.float32)
        return
    if not is_floating_point(node):
        raise GraphError.at_node(
            node, why="it cannot stay in float32: it gives no single tensor of numbers", fix="do not keep it in float"
        )
    _cast_inputs(gm, node, torch.float32)
    _cast_after(gm, node, dtype)
