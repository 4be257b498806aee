"""Replace in-place operators by out-of-place ones.

``x.relu_()`` writes into ``x``; later readers of ``x`` read the new values. Out of place, these readers get the new
node instead. This is exact unless the changed memory is read later through another name (a view); such a graph is
refused. Writes and shared memory are known from the operators, and are also observed while the graph runs once, so that
functions and modules outside the vocabulary are included.
"""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ...errors import GraphError
from ...graph.operator_table import VOCABULARY
from ...graph.operators import Trait
from ...graph.ownership import owned_module, place_module
from ...user_frames import first_line

_OPERATORS: dict[object, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    operator.ifloordiv: operator.floordiv,
    operator.imod: operator.mod,
    operator.ipow: operator.pow,
    operator.imatmul: operator.matmul,
    operator.iand: operator.and_,
    operator.ior: operator.or_,
    operator.ixor: operator.xor,
}
_METHODS: dict[str, Callable[..., Any]] = {"fill_": torch.fill, "zero_": torch.zeros_like}
_NOT_WRITES = frozenset({"requires_grad_", "share_memory_"})
_VIEWING_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "data", "real", "imag"})
_REMEDY = "write it out of place, or capture(..., method='export'), which does so itself"


class ChangesStateError(GraphError):
    """A node changes a tensor of the model."""


@dataclass
class MemoryUse:
    """Memory use of each node, from running a graph once.

    Attributes:
        writes: for each node that changes tensors, the nodes whose tensors it changes.
        views: for each node, the inputs with which its result shares memory, or may share it for other inputs.
        dtypes: the type of each node with a single tensor.
    """

    writes: dict[fx.Node, list[fx.Node]] = field(default_factory=dict)
    views: dict[fx.Node, list[fx.Node]] = field(default_factory=dict)
    dtypes: dict[fx.Node, torch.dtype] = field(default_factory=dict)

    def groups(self) -> dict[fx.Node, set[fx.Node]]:
        """All nodes that may share the memory of a node, itself included, by node."""
        groups: dict[fx.Node, set[fx.Node]] = {}
        for node, sources in self.views.items():
            group = {node}.union(*(groups.get(s, {s}) for s in sources))
            for member in group:
                groups[member] = group
        return groups


class _Watcher(fx.Interpreter):
    def __init__(self, gm: fx.GraphModule) -> None:
        super().__init__(gm)
        self.gm, self.use = gm, MemoryUse()

    def run_node(self, n: fx.Node) -> Any:
        inputs = {a: _tensors(self.env[a]) for a in n.all_input_nodes}
        before = {a: [t._version for t in tensors] for a, tensors in inputs.items()}
        result = super().run_node(n)
        changed = [a for a, tensors in inputs.items() if [t._version for t in tensors] != before[a]]
        if not changed and is_in_place(self.gm, n) and isinstance(n.args[0], fx.Node):
            changed = [n.args[0]]
        if changed:
            self.use.writes[n] = changed
        memory = {t.untyped_storage().data_ptr() for t in _tensors(result)} - {0}
        shared = [a for a, ts in inputs.items() if any(t.untyped_storage().data_ptr() in memory for t in ts)]
        self.use.views[n] = list(dict.fromkeys([*shared, *_possible_view(self.gm, n)]))
        if isinstance(result, Tensor):
            self.use.dtypes[n] = result.dtype
        return result


def _tensors(value: object) -> list[Tensor]:
    """All strided tensors in a value, without inference tensors."""
    leaves = pytree.tree_leaves(value)
    return [t for t in leaves if isinstance(t, Tensor) and t.layout is torch.strided and not t.is_inference()]


def _possible_view(gm: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """The input of which a node may be a view for other inputs: ``reshape`` copies only if it must."""
    found = VOCABULARY.spelling(gm, node)
    is_view = (found is not None and Trait.VIEWS in found[0].traits) or (
        node.target is getattr and node.args[1] in _VIEWING_ATTRIBUTES
    )
    return [node.args[0]] if is_view and node.args and isinstance(node.args[0], fx.Node) else []


def is_in_place(gm: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is spelled as an in-place operator on its first argument."""
    if not node.args:
        return False
    if node.op == "call_module":
        return bool(getattr(gm.get_submodule(str(node.target)), "inplace", False))
    if node.kwargs.get("inplace") is True or node.kwargs.get("out") is not None:
        return True
    if isinstance(node.target, torch._ops.OpOverload):
        return bool(node.target._schema.is_mutable)
    name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    return isinstance(name, str) and name.endswith("_") and not name.endswith("__") and name not in _NOT_WRITES


def watch_memory(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> MemoryUse:
    """Run a graph once on copies of the inputs and record its writes and shared memory.

    Raises:
        GraphError: the graph does not run, because capture made a constant of a value that must not be one.
    """
    watcher = _Watcher(gm)
    try:
        with torch.inference_mode(False), torch.no_grad():
            watcher.run(*pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, inputs))
    except Exception as error:  # a wrongly specialised graph raises whatever its kernels raise
        raise GraphError(
            f"the captured graph of {type(gm).__name__} does not run on the example inputs",
            why=first_line(error),
            fix="look for Python values computed from inputs, which a graph fixes at what they were while capturing",
            step="capture",
        ) from error
    return watcher.use


def make_out_of_place(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> None:
    """Rewrite every node that writes into a tensor, and give later readers of that tensor the new node.

    Raises:
        GraphError: the memory is read later through a view, belongs to the model, or the operator is not known to
            have an out-of-place form.
    """
    use = watch_memory(gm, inputs)
    if not use.writes:
        return
    order = {node: i for i, node in enumerate(gm.graph.nodes)}
    groups = use.groups()
    latest: dict[fx.Node, fx.Node] = {}
    for node, changed in use.writes.items():
        now = [_follow(latest, c) for c in changed]
        state = sorted(str(a.target) for a in groups.get(now[0], {now[0]}) if a.op == "get_attr")
        if state:
            raise ChangesStateError.at_node(
                node,
                why=f"it changes {state[0]!r}, a tensor of the model: a second call would compute something else",
                fix="make forward a function of its inputs: take the state as an input, and return the new one",
                step="capture",
            )
        why = _why_not(node, now, order, groups, use) or _rewrite(gm, node)
        if why:
            raise GraphError.at_node(node, why=why, fix=_REMEDY, step="capture")
        target = now[0]
        for user in [u for u in target.users if order[u] > order[node]]:
            user.replace_input_with(target, node)
        latest[target] = node
    gm.recompile()


def _follow(latest: dict[fx.Node, fx.Node], node: fx.Node) -> fx.Node:
    while node in latest:
        node = latest[node]
    return node


def _why_not(
    node: fx.Node,
    changed: list[fx.Node],
    order: dict[fx.Node, int],
    groups: dict[fx.Node, set[fx.Node]],
    use: MemoryUse,
) -> str | None:
    target = changed[0]
    if len(changed) > 1 or node.args[:1] != (target,):
        return f"it changes {', '.join(repr(c.name) for c in changed)} in place, besides computing a result"
    aliases = groups.get(target, {target})
    for alias in sorted(aliases - {target, node}, key=order.__getitem__):
        later = [u for u in alias.users if order[u] > order[node]]
        if order[alias] < order[node] and later:
            return (
                f"it changes {target.name!r} in place, and {later[0].name!r} reads the same memory later through "
                f"{alias.name!r}"
            )
    mixed = [a for a in node.all_input_nodes if a in use.dtypes and use.dtypes[a].is_floating_point]
    if any(use.dtypes[a] != use.dtypes.get(target) for a in mixed):
        return f"it changes {target.name!r} in place, and keeps its type where out of place the result had another"
    return None


def _rewrite(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """Make one node out of place; return the reason if that is not possible."""
    if node.op == "call_module":
        return _rewrite_module(gm, node)
    if node.target in _OPERATORS:
        node.target = _OPERATORS[node.target]
        return None
    if node.kwargs.get("out") is None:
        if _drop_inplace_argument(node):
            return None
        twin = _out_of_place_form(node)
        if twin is not None:
            if node.op == "call_method" and not isinstance(twin, str):
                node.op = "call_function"
            node.target = twin
            return None
    return "it changes its input in place, and has no known out-of-place form"


def _out_of_place_form(node: fx.Node) -> str | Callable[..., Any] | None:
    """The method, function or ATen overload without the underscore: ``relu`` for ``relu_``; None if there is none."""
    if isinstance(node.target, torch._ops.OpOverload):
        packet = getattr(torch.ops.aten, node.target._opname.removesuffix("_"), None)
        overload: Callable[..., Any] | None = getattr(packet, node.target._overloadname or "default", None)
        return overload if node.target.namespace == "aten" and node.target._opname.endswith("_") else None
    if node.op == "call_method":
        name = str(node.target)
        plain = name.removesuffix("_")
        return plain if name.endswith("_") and callable(getattr(Tensor, plain, None)) else _METHODS.get(name)
    name = getattr(node.target, "__name__", "")
    if not name.endswith("_"):
        return None
    function: Callable[..., Any] | None = getattr(torch, name[:-1], None) or getattr(F, name[:-1], None)
    return function


def _drop_inplace_argument(node: fx.Node) -> bool:
    """Change ``inplace=True`` to False, whether passed by position or by name."""
    if "inplace" in node.kwargs:
        node.kwargs = {**node.kwargs, "inplace": False}
        return True
    if not inspect.isfunction(node.target):
        return False
    names = list(inspect.signature(node.target).parameters)
    position = names.index("inplace") if "inplace" in names else len(node.args)
    if position >= len(node.args) or node.args[position] is not True:
        return False
    node.update_arg(position, False)
    return True


def _rewrite_module(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """Call a copy of the module that works out of place; the user's module is not changed."""
    module, path = gm.get_submodule(str(node.target)), str(node.target)
    if not type(module).__module__.startswith("torch.nn") or not hasattr(module, "inplace"):
        return "it changes its input in place, inside a module that is kept whole"
    if not module.inplace:
        return None  # another call of it was rewritten before
    twin: nn.Module = copy.copy(module)
    twin.inplace = False  # type: ignore[assignment]  # a bool, as torch.nn declares it
    holder, _, name = path.rpartition(".")
    parent = owned_module(gm, holder)
    if parent is not None:
        parent.add_module(name, twin)
    else:
        node.target = place_module(gm, path, twin)
    return None
