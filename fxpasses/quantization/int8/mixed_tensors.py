"""Joined tensors whose parts have ranges too different for one int8 grid: the nodes that read them stay float.

A concatenation of pixels up to 480 and scores below 1 has steps of 2: every score becomes 0. Inside a net such a tensor
cannot have two grids, since a layer reads its input with one scale. So calibration records statistics of each part of
each joined tensor that int8 reads, and of each slice of an int8 tensor. Once the grid is known, a part whose SQNR would
be below ``LEAST_DB`` keeps the whole tensor in float, together with everything up to the layers that mix its channels.

With steps of ``s`` rounding adds noise of power ``s**2 / 12``. The signal power of a part is its variance, or its mean
square if it is constant. 10 dB is a standard deviation of nine tenths of a step, about 4 levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from ...graph.edit import module_of, operator_name, operator_of, submodule_path
from ...graph.operators import Operator, Scaling, Trait
from ...graph.shapes import carried_meta, is_float_tensor, shape_of
from ..numbers.qparams import QParams
from ..ranges.deferred import is_remote
from .plan import Plan, shares_scale

PARTS = "fxpasses_parts"
"""Path of the submodule that holds the :class:`PartMoments` modules; no user's model has this name."""
LEAST_DB = 10.0
"""Smallest SQNR of a part on the grid of the whole tensor; below it int8 loses the part."""
WRITE_SLICE = torch.ops.aten.slice_scatter.default
"""The operator that capture gives for ``x[:, a:b] = y``."""
_STACKS = frozenset({torch.stack, torch.ops.aten.stack.default})
_DIMS = {torch.hstack: 1, torch.column_stack: 1, torch.dstack: 2}
_CONSTANT = 1e-9
"""Variance as a share of the mean square, below which a part is constant except for float rounding."""


@dataclass(frozen=True)
class Joined:
    """Position of the parts of a tensor: along ``dim``, with ``sizes`` values each, from the nodes ``sources``."""

    dim: int
    sizes: tuple[int, ...]
    sources: tuple[fx.Node, ...]


def joined_by(gm: fx.GraphModule, node: fx.Node) -> Joined | None:
    """The parts of a tensor that a node joins; None for other nodes, and for parts along the batch."""
    shape, parts = shape_of(node), node.args[0] if node.args else None
    if node.target is WRITE_SLICE and is_float_tensor(node):
        return _written_by(node)
    if shape is None or not isinstance(parts, (tuple, list)) or not is_float_tensor(node):
        return None
    sources = tuple(p for p in parts if isinstance(p, fx.Node))
    if len(sources) != len(parts) or len(parts) < 2:
        return None
    dim = _dim_of(gm, node)
    if dim is None or dim % len(shape) == 0:
        return None
    dim %= len(shape)
    if node.target in _STACKS:
        return Joined(dim, (1,) * len(parts), sources)
    shapes = [shape_of(p) or () for p in sources]
    if any(len(s) != len(shape) for s in shapes):
        return None
    return Joined(dim, tuple(s[dim] for s in shapes), sources)


def _written_by(node: fx.Node) -> Joined | None:
    """The parts of a tensor with a slice written into it: the slice, and the values before and after it."""
    shape, (whole, part, dim, start, end, *_) = shape_of(node) or (), (*node.args, 0, 0, None)[:6]
    if not (isinstance(whole, fx.Node) and isinstance(part, fx.Node) and isinstance(dim, int) and shape):
        return None
    bounds = [b for b in (start or 0, shape[dim] if end is None else end) if isinstance(b, int)]
    if len(bounds) != 2 or dim % len(shape) == 0 or len(node.args) > 5:
        return None
    first, last, _ = slice(*bounds).indices(shape[dim])
    pieces = ((first, whole), (last - first, part), (shape[dim] - last, whole))
    found = [(size, source) for size, source in pieces if size > 0]
    return Joined(dim % len(shape), tuple(s for s, _ in found), tuple(n for _, n in found)) if found[1:] else None


def _dim_of(gm: fx.GraphModule, node: fx.Node) -> int | None:
    if node.target in _DIMS:
        return _DIMS[node.target]
    if node.target not in _STACKS and operator_name(gm, node) != "cat":
        return None
    dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    return dim if isinstance(dim, int) else None


def taken_from(gm: fx.GraphModule, plan: Plan, node: fx.Node) -> fx.Node | None:
    """The root of the int8 tensor that a slice is taken from; None for other nodes."""
    if operator_name(gm, node) != "slice" or not is_float_tensor(node):
        return None
    source = node.args[0]
    while isinstance(source, fx.Node):
        if source in plan.root:
            return plan.root[source]
        operator = operator_of(gm, source)
        source = source.args[0] if operator is not None and operator.scaling is Scaling.SHARED else None
    return None


Number = float | Tensor
Moments = tuple[int, Number, Number]
"""Count, mean and variance."""


class PartMoments(nn.Module):
    """Module that returns its input and records mean and variance of each part; it stores three numbers per part.

    Args:
        joined: position of the parts; None if the tensor itself is one part of another.
    """

    def __init__(self, joined: Joined | None) -> None:
        super().__init__()
        self._place = None if joined is None else (joined.sizes, joined.dim)
        self._moments: list[Moments] = [(0, 0.0, 0.0) for _ in (joined.sizes if joined is not None else (1,))]

    def forward(self, x: Tensor) -> Tensor:
        if x.numel():
            parts = (x.detach(),) if self._place is None else x.detach().split(*self._place)
            self._moments = [_merged(old, part) for old, part in zip(self._moments, parts, strict=True)]
        return x

    def powers(self) -> list[float]:
        """Signal power of each part: its variance, or its mean square if it is constant."""
        moments = [(float(m), float(v)) for _, m, v in self._moments]
        return [v if v > _CONSTANT * (m * m + v) else m * m for m, v in moments]


def _merged(old: Moments, part: Tensor) -> Moments:
    """Count, mean and variance of the earlier values together with one more batch (Chan et al. 1979)."""
    count, mean, variance = old
    if not part.numel():
        return old
    # on a GPU they stay there: float64 tensors compute as Python's numbers do
    v, m = (t.double() if is_remote(t) else float(t) for t in torch.var_mean(part, correction=0))
    share, apart = part.numel() / (count + part.numel()), m - mean
    merged = (1 - share) * variance + share * v + share * (1 - share) * apart * apart
    return count + part.numel(), mean + share * apart, merged


def watch_parts(gm: fx.GraphModule, plan: Plan) -> None:
    """Put a :class:`PartMoments` after each joined tensor on one int8 grid, and after each slice of such a tensor."""
    for node in list(gm.graph.nodes):
        joined = joined_by(gm, node)
        root = grid_root(gm, plan, node) if joined is not None else taken_from(gm, plan, node)
        if root is None:
            continue
        name = submodule_path(f"{PARTS}.{node.name}")
        gm.add_submodule(name, PartMoments(joined))
        with gm.graph.inserting_after(node):
            watcher = gm.graph.call_module(name, (node,))
        watcher.meta = carried_meta(node)
        node.replace_all_uses_with(watcher, delete_user_cb=lambda user, own=watcher: user is not own)


def has_watched_parts(gm: fx.GraphModule) -> bool:
    """Whether the graph records statistics of the parts of some joined tensor."""
    return any(n.op == "call_module" and str(n.target).startswith(f"{PARTS}.") for n in gm.graph.nodes)


def take_out_parts(gm: fx.GraphModule) -> dict[str, list[float]]:
    """Remove the :class:`PartMoments` nodes; return the powers of the parts by the name of the node that joins them."""
    found: dict[str, list[float]] = {}
    for node in [n for n in gm.graph.nodes if n.op == "call_module" and str(n.target).startswith(f"{PARTS}.")]:
        found[node.all_input_nodes[0].name] = module_of(gm, node, PartMoments).powers()
        node.replace_all_uses_with(node.all_input_nodes[0])
        gm.graph.erase_node(node)
    return found


def grid_root(gm: fx.GraphModule, plan: Plan, join: fx.Node) -> fx.Node | None:
    """The root of the first int8 tensor that a join's values reach through moves alone; None if there is none."""
    todo, seen = [join], {join}
    while todo:
        tensor = todo.pop(0)
        held = plan.result_of(tensor)
        if held in plan.root:
            return plan.root[held]
        for reader in tensor.users:
            operator = operator_of(gm, reader) if reader.op != "output" else None
            moves = reader.target is WRITE_SLICE or (operator is not None and shares_scale(reader, operator))
            if moves and reader not in seen:
                seen.add(reader)
                todo.append(reader)
    return None


def find_wiped_out(
    gm: fx.GraphModule, plan: Plan, powers: Mapping[str, list[float]], scales: Mapping[fx.Node, QParams]
) -> dict[fx.Node, str]:
    """Nodes that must stay float because one grid would lose a part of the tensor they read, each with the reason."""
    kept: dict[fx.Node, str] = {}
    for node in gm.graph.nodes:
        if node.name not in powers:
            continue
        joined = joined_by(gm, node)
        root = grid_root(gm, plan, node) if joined is not None else taken_from(gm, plan, node)
        if root is None:
            continue
        sqnr_of_parts = [_sqnr_db(power, scales[root].scale) for power in powers[node.name]]
        worst = min(range(len(sqnr_of_parts)), key=sqnr_of_parts.__getitem__)
        if sqnr_of_parts[worst] >= LEAST_DB:
            continue
        told = f"({sqnr_of_parts[worst]:.1f} dB on it)"
        if joined is not None:
            lost = joined.sources[worst].name
            why = f"{node.name} joins parts so unlike that one grid would wipe out {lost} {told}"
            kept |= dict.fromkeys(_readers_in_int8(gm, plan, node), why)
        else:
            why = f"{root.name} holds parts so unlike that one grid would wipe out {node.name} {told}"
            kept |= dict.fromkeys((plan.absorbed.get(root, root), *_readers_in_int8(gm, plan, root)), why)
    return kept


def _sqnr_db(power: float, scale: float) -> float:
    """SQNR of a signal rounded to steps of ``scale``; infinite if there is no signal."""
    return 10 * math.log10(12 * power / scale**2) if power > 0 else math.inf


def _readers_in_int8(gm: fx.GraphModule, plan: Plan, mixed: fx.Node) -> Iterator[fx.Node]:
    """The int8 nodes that read the parts before they are mixed: up to and including the first layers."""
    todo, seen = [mixed], {mixed}
    while todo:
        tensor = todo.pop()
        if tensor in plan.int8 or tensor in plan.absorbed:
            yield tensor
        operator = operator_of(gm, tensor)
        if tensor is not mixed and operator is not None and not _keeps_apart(operator):
            yield from (a for a, producer in plan.absorbed.items() if producer is tensor)
            continue
        for reader in tensor.users:
            joins = joined_by(gm, reader) is not None or reader.target is WRITE_SLICE
            if reader not in seen and (joins or operator_of(gm, reader) is not None):
                seen.add(reader)
                todo.append(reader)


def _keeps_apart(operator: Operator) -> bool:
    """Whether each part of an operator's input stays a part of its result, with values of the same kind."""
    mixes = operator.weight_axis is not None or Trait.MIXES in operator.traits
    return not (mixes or operator.scaling is Scaling.FIXED)
