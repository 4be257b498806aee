"""Removes channels from a graph: smaller weights, fewer multiplications, the same outputs.

:func:`mask_channels` makes a graph of the old size in which every sum over channels reads zero for removed channels;
:func:`shrink` makes the small one. Both compute the same, up to float rounding of sums that are shorter.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, fx, nn

from ...errors import GraphError
from ...graph.edit import insert_call
from ...graph.pass_runner import PassLog, PassResult, copy_graph, pass_logs
from ...graph.shapes import record_shapes, shape_of
from ...signature.examples import Spec, examples_of, with_tensors
from ...signature.outputs import tensors_of
from .channel_plan import Removal
from .layer_norms import mask_layer_norms
from .layer_sizes import fix_settings
from .node_sizes import fix_sizes

TOLERANCE = 1e-3
"""Tolerance relative to the largest output: float32 rounding is a thousand times smaller, a wrong
channel far larger.
"""


def shrink(removal: Removal, *, verify: bool = True) -> fx.GraphModule:
    """Return a copy of the graph without the channels of ``removal``. The graph itself is not changed.

    Args:
        removal: result of :func:`.channel_plan.choose_channels`.
        verify: run the result and the masked graph on random inputs, of the shapes that the graph was captured with.

    Raises:
        GraphError: the result computes something else, because a size in the graph is fixed in an unknown way.
    """
    gm = removal.dependencies.gm
    small = copy_graph(gm)
    nodes = dict(zip(gm.graph.nodes, small.graph.nodes, strict=True))
    _slice_tensors(removal, small)
    result = PassResult()
    for node, twin in nodes.items():
        if node.op == "call_module":
            fix_settings(removal, node, small.get_submodule(str(twin.target)))
        before, after = _channels(removal, node)
        if node.op == "call_module" and before != after and str(node.target) in removal.dependencies.made:
            result.change(twin, f"{before} -> {after} channels")
    fix_sizes(removal, nodes)
    small.graph.lint()
    small.recompile()
    inputs = example_inputs(gm)
    _run_or_raise(small, inputs)
    if verify:
        _require_equal(mask_channels(removal), small, inputs)
    pass_logs(small).append(PassLog("shrink", result))
    return small


def mask_channels(removal: Removal) -> fx.GraphModule:
    """Return a copy of the graph in which removed channels are multiplied by zero before every sum over channels."""
    gm = removal.dependencies.gm
    masked = copy_graph(gm)
    nodes = dict(zip(gm.graph.nodes, masked.graph.nodes, strict=True))
    for number, read in enumerate(removal.dependencies.labelling.reads):
        kept = removal.keeps(read.atoms)
        if kept.all():
            continue
        rank = len(shape_of(read.source) or ())
        mask = torch.from_numpy(kept).to(_dtype(masked)).reshape(-1, *[1] * (rank - 1 - read.axis))
        masked.register_buffer(f"_kept_channels_{number}", mask)
        reader, source = nodes[read.node], nodes[read.source]
        with masked.graph.inserting_before(reader):
            constant = masked.graph.get_attr(f"_kept_channels_{number}")
        product = insert_call(masked, reader, torch.mul, source, constant, like=source)
        reader.args = (product, *reader.args[1:])
    mask_layer_norms(removal, masked, nodes)
    masked.graph.lint()
    masked.recompile()
    return masked


def example_inputs(gm: fx.GraphModule, seed: int = 0) -> tuple[object, ...]:
    """Random inputs of the shapes a graph was captured with; integers are 0 or 1, which every embedding table has."""
    generator = torch.Generator().manual_seed(seed)

    def random(spec: Spec) -> Tensor:
        shape, dtype = spec
        if dtype.is_floating_point:
            return torch.randn(shape, generator=generator).to(dtype)
        return torch.randint(2, shape, generator=generator).to(dtype)

    return with_tensors(examples_of(gm), random)


def _channels(removal: Removal, node: fx.Node) -> tuple[int, int]:
    dim = removal.dependencies.labelling.made.get(str(node.target))
    return (0, 0) if dim is None else (len(dim), removal.kept_size(dim, len(dim)))


def _dtype(gm: fx.GraphModule) -> torch.dtype:
    return next((p.dtype for p in gm.parameters() if p.is_floating_point()), torch.float32)


def _slice_tensors(removal: Removal, small: fx.GraphModule) -> None:
    """Give the copy the remaining parts of its parameters and buffers; shared tensors stay shared."""
    originals, sliced = removal.dependencies.gm, dict[int, Tensor]()
    slots: dict[int, list[int]] = {}
    for tensor_id, axis in removal.dependencies.labelling.parameters:
        slots.setdefault(tensor_id, []).append(axis)
    for path, module in list(originals.named_modules()):
        named = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in named:
            if id(tensor) not in slots:
                continue
            if id(tensor) not in sliced:
                sliced[id(tensor)] = _part(removal, tensor, slots[id(tensor)])
            if sliced[id(tensor)].shape != tensor.shape:
                setattr(small.get_submodule(path), name, sliced[id(tensor)])


def _part(removal: Removal, tensor: Tensor, axes: list[int]) -> Tensor:
    part = tensor.detach()
    for axis in axes:
        dim = removal.dependencies.labelling.parameters[id(tensor), axis]
        if dim is not None:
            kept = torch.from_numpy(np.flatnonzero(removal.keeps(dim))).to(part.device)
            part = part.index_select(axis, kept)
    part = part.clone()
    return nn.Parameter(part, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else part


def _run_or_raise(small: fx.GraphModule, inputs: tuple[object, ...]) -> None:
    try:
        record_shapes(small, inputs)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise GraphError(
            "the graph without the removed channels does not run",
            why=str(error).partition("\n")[0],
            fix="leave the layers around that node out: layers=[...]",
            step="shrink",
        ) from error


def _require_equal(masked: fx.GraphModule, small: fx.GraphModule, inputs: tuple[object, ...]) -> None:
    with torch.no_grad():
        expected, found = _outputs(masked, inputs), _outputs(small, inputs)
    for a, b in zip(expected, found, strict=True):
        off = float((a - b).abs().max()) if a.shape == b.shape and a.numel() else float(a.shape != b.shape)
        if off > TOLERANCE * max(float(a.abs().max()) if a.numel() else 0.0, 1e-6):
            raise GraphError(
                "the graph without the removed channels computes something else than with them at zero",
                why=f"an output differs by {off:.3g}: a number in the graph depends on a count of channels",
                fix="leave these layers out: layers=[...]; and report the model as an issue of fxpasses",
                step="shrink",
            )


def _outputs(gm: fx.GraphModule, inputs: tuple[object, ...]) -> list[Tensor]:
    return [x for x in tensors_of(gm(*inputs)) if x.is_floating_point()]
