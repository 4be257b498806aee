"""Capture with ``torch.export``; the result is a plain graph that refers to the model's own parameters by name.

The graph is the one before decomposition (``aten.conv2d``, ``aten.batch_norm``, ...), in which
:mod:`fxpasses.capturing.lifting` finds the layers again. It is functionalised, without decompositions, only if the
model writes through views. Inputs and outputs keep their structure; guards, assertions and ``torch.no_grad`` regions
are removed. Exact, for the example's shapes and any batch size that the model accepts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, ShapesCollection
from torch.fx.experimental.symbolic_shapes import is_concrete_int
from torch.utils import _pytree as pytree

from ..callers_code import is_a_failure
from ..errors import GraphError
from ..graph.graph_module import RecordedModule
from ..graph.operators import aten_name
from ..signature.examples import tensors_in
from ..signature.free_sizes import BATCH, Dims, picked
from ..signature.model_call import argument_names
from ..user_frames import first_line, users_frame
from .causal_hints import without_causal_hints
from .remedies import part_remedy
from .rewrites.inplace import ChangesStateError, make_out_of_place

_ASSERTIONS = frozenset(
    "aten._assert_async aten._assert_scalar aten._assert_tensor_metadata aten.sym_constrain_range "
    "aten.sym_constrain_range_for_size".split()
)
_FILLS = {"aten.new_zeros": 0, "aten.zeros_like": 0, "aten.new_ones": 1, "aten.ones_like": 1, "aten.new_full": None}
_KEPT_META = ("stack_trace", "nn_module_stack")
"""Metadata to keep; the other notes of torch.export (fake tensors, guards) describe its own graph."""


def export_graph(
    model: nn.Module,
    inputs: tuple[Any, ...],
    *,
    keywords: tuple[str, ...] = (),
    dynamic_batch: bool = True,
    dynamic: Sequence[Dims] = (),
) -> fx.GraphModule:
    """Capture a model through ``torch.export`` as a plain graph without in-place operators.

    Args:
        model: in eval mode.
        inputs: as the model takes them.
        keywords: names of the last inputs, which are given by them.
        dynamic_batch: whether dimension 0 of tensors stays open; if not it is the example's.
        dynamic: other dimensions of each tensor that stay open; those named ``batch`` are the batch, instead of 0.

    Raises:
        GraphError: torch.export's reason, at the user's line.
    """
    program = _export(model, inputs, keywords, dynamic_batch, dynamic)
    if dynamic_batch and not _is_batch_open(program, dynamic):
        raise GraphError(
            f"{type(model).__name__} fixes the batch size",
            why="its forward counts, loops over or compares the batch in Python, which torch.export fixes as it is",
            fix="write the operation for a whole batch",
            step="capture",
        )
    gm = plain_graph(program, model, inputs, keywords)
    try:
        make_out_of_place(gm, inputs)
    except ChangesStateError:
        raise
    except GraphError as error:
        gm = plain_graph(_functional(program, model, error), model, inputs, keywords)
        make_out_of_place(gm, inputs)
    return gm


def export_behind(
    model: nn.Module, inputs: tuple[Any, ...], keywords: tuple[str, ...], dims: tuple[Dims, ...]
) -> fx.GraphModule:
    """Export a model with these dimensions free; a size of one, of which torch.export makes a constant, is doubled.

    Raises:
        GraphError: torch.export's reason.
    """
    for name in {name for each in dims for name in each.values()}:
        places = tuple(next((d for d, n in each.items() if n == name), None) for each in dims)
        sizes = {x.shape[d] for x, d in zip(tensors_in(inputs), places, strict=True) if d is not None}
        if sizes == {1}:
            inputs = picked(inputs, places, torch.tensor([0, 0]))
    return export_graph(model, inputs, keywords=keywords, dynamic=dims)


def _export(
    model: nn.Module,
    inputs: tuple[Any, ...],
    keywords: tuple[str, ...],
    dynamic_batch: bool,
    dynamic: Sequence[Dims],
) -> ExportedProgram:
    """Export with a batch of two if all examples have one sample: torch.export makes a constant of a size of one."""
    shapes = None
    if dynamic_batch:
        one = all(x.shape[0] == 1 for x in tensors_in(inputs) if x.dim())
        inputs = pytree.tree_map(_twice if one else _own, inputs)
        shapes, given = ShapesCollection(), tensors_in(inputs)
        batch = next((x.shape[0] for x in given if x.dim()), None)
        for tensor, dims in zip(given, [*dynamic, *[{}] * (len(given) - len(dynamic))], strict=True):
            if tensor.dim():
                alike = () if tensor is given[0] else (d for d in range(tensor.dim()) if tensor.shape[d] == batch)
                shapes[tensor] = dict.fromkeys((0, *alike, *dims), Dim.AUTO)
    behind = len(inputs) - len(keywords)
    named = dict(zip(keywords, inputs[behind:], strict=True))
    try:
        with _quiet(), without_causal_hints(), torch.no_grad():
            return torch.export.export(model, inputs[:behind], named, dynamic_shapes=shapes, strict=False)
    except BaseException as error:  # the model's forward runs in there, and may raise anything, and exit, too
        if not is_a_failure(error):
            raise
        raise _not_exportable(model, error) from error


def _is_batch_open(program: ExportedProgram, dynamic: Sequence[Dims]) -> bool:
    """Whether the batch of any input may have another size; that of a mask, for example, may be fixed."""
    names = set(program.graph_signature.user_inputs)
    shapes = [n.meta["val"].shape for n in program.graph.nodes if n.name in names and isinstance(n.meta["val"], Tensor)]
    wanted = [shape[d] for shape, dims in zip(shapes, dynamic, strict=False) for d in dims if dims[d] == BATCH]
    batches = wanted or [shape[0] for shape in shapes if len(shape)]
    return not batches or any(not is_concrete_int(b) for b in batches)


def _twice(value: Any) -> Any:
    return torch.cat([value, value]) if isinstance(value, Tensor) and value.dim() else value


def _own(value: Any) -> Any:
    """Copy a tensor: torch.export identifies dynamic shapes by tensor, so the same tensor must not be passed twice."""
    return value.clone() if isinstance(value, Tensor) else value


def _functional(program: ExportedProgram, model: nn.Module, cause: GraphError) -> ExportedProgram:
    """The program without in-place operators; no operator is decomposed."""
    try:
        with _quiet(), torch.no_grad():
            functional: ExportedProgram = program.run_decompositions({})
            return functional
    except RuntimeError as error:
        raise _not_exportable(model, error) from cause


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the logs and prints of torch.export, whose exception says the same, and prevent attention from fusing."""
    level = logging.root.manager.disable
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    logging.disable(logging.WARNING)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        torch.backends.mha.set_fastpath_enabled(fast_attention)


def _not_exportable(model: nn.Module, error: BaseException) -> GraphError:
    return GraphError(
        f"{type(model).__name__} cannot be exported",
        at=users_frame(error),
        why=f"torch.export: {first_line(error)}",
        fix=part_remedy(model),
        step="capture",
    )


def plain_graph(
    program: ExportedProgram, model: nn.Module, inputs: tuple[Any, ...], keywords: tuple[str, ...] = ()
) -> fx.GraphModule:
    """The program as a graph that is called like the model and returns the same structure."""
    with _quiet():
        exported = program.module()
    old, new = exported.graph, fx.Graph()
    arguments = iter(_arguments(new, type(model).forward, model, inputs, keywords))
    copied: dict[fx.Node, fx.Node] = {}
    for node in old.nodes:
        if node.op == "placeholder":
            copied[node] = next(arguments)
        elif node.op == "output":
            leaves = [copied[n] if isinstance(n, fx.Node) else n for n in node.args[0]]
            new.output(_outputs(new, program, leaves))
        elif not _is_check(node):
            copied[node] = _copy_filled(new, node, copied) or new.node_copy(node, copied.__getitem__)
            if node.target is torch.ops.aten.detach_.default:  # of `torch.tensor(1.0)` in forward; it changes no value
                copied[node].target = torch.ops.aten.detach.default
            copied[node].meta = {k: v for k, v in node.meta.items() if k in _KEPT_META}
    new.eliminate_dead_code(lambda n: n.op in ("placeholder", "output") or _writes(n))
    gm = RecordedModule(exported, new, type(model).__name__)
    gm.meta.clear()
    return gm


def _copy_filled(graph: fx.Graph, node: fx.Node, copied: Mapping[fx.Node, fx.Node]) -> fx.Node | None:
    """Replace ``x.new_zeros(3, 4)``, which reads no value of ``x``, by ``torch.full``; None for others. What it is
    filled with may be a value of the graph.
    """
    name, value = aten_name(node.target), node.meta.get("val")
    if name not in _FILLS or not isinstance(value, Tensor) or not all(type(s) is int for s in value.shape):
        return None
    fill = node.args[2] if name == "aten.new_full" else _FILLS[name]
    fill = copied[fill] if isinstance(fill, fx.Node) else fill
    return graph.call_function(
        torch.ops.aten.full.default, (list(value.shape), fill), {"dtype": value.dtype, "device": value.device}
    )


def _is_check(node: fx.Node) -> bool:
    return aten_name(node.target) in _ASSERTIONS or (node.op == "call_module" and str(node.target) == "_guards_fn")


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and bool(node.target._schema.is_mutable)


def _arguments(
    graph: fx.Graph, forward: Any, model: nn.Module, inputs: tuple[Any, ...], keywords: tuple[str, ...]
) -> Iterator[fx.Node]:
    """A placeholder for each argument, and nodes that read the tensors from nested arguments."""
    names = argument_names(forward, (model, *inputs), keywords)[1:]
    placeholders = [graph.placeholder(name) for name in names]
    for placeholder, value in zip(placeholders, inputs, strict=True):
        for path, _ in pytree.tree_flatten_with_path(value)[0]:
            leaf = placeholder
            for key in path:
                leaf = _item(graph, leaf, key)
            yield leaf


def _item(graph: fx.Graph, node: fx.Node, key: Any) -> fx.Node:
    if isinstance(key, pytree.GetAttrKey):
        return graph.call_function(getattr, (node, key.name))
    return graph.call_function(operator.getitem, (node, key.idx if isinstance(key, pytree.SequenceKey) else key.key))


def _outputs(graph: fx.Graph, program: ExportedProgram, leaves: list[Any]) -> Any:
    spec = program.call_spec.out_spec
    assert spec is not None
    outputs = pytree.tree_unflatten(leaves, spec)
    return _written_out(graph, outputs)


def _written_out(graph: fx.Graph, value: Any) -> Any:
    """An output in the form of a graph: a named tuple becomes a call of its class, as with torch.fx."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return graph.call_function(type(value), tuple(_written_out(graph, v) for v in value))
    if isinstance(value, (tuple, list)):
        return type(value)(_written_out(graph, v) for v in value)
    if isinstance(value, dict):
        return {k: _written_out(graph, v) for k, v in value.items()}
    return value
