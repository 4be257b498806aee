"""The functions through which a pass reads and changes a graph."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

from ..errors import GraphError
from .meta_keys import DTYPE
from .operator_table import VOCABULARY
from .operators import Operator, Trait
from .shapes import carried_meta

M = TypeVar("M", bound=nn.Module)


def module_of(gm: fx.GraphModule, node: fx.Node, kind: type[M] | tuple[type[M], ...]) -> M:
    """The module that a node calls.

    Raises:
        GraphError: the node calls no module of that kind.
    """
    module = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
    if not isinstance(module, kind):
        names = [k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,))]
        raise GraphError.at_node(
            node, why=f"expected a call of {' or '.join(names)}, found {type(module).__name__}", fix="capture it again"
        )
    return module


def operator_name(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """The name of a node's operator; None for an operator outside the vocabulary."""
    operator = VOCABULARY.operator(gm, node)
    return operator.name if operator else None


def operator_of(gm: fx.GraphModule, node: fx.Node) -> Operator | None:
    return VOCABULARY.operator(gm, node)


def has_trait(gm: fx.GraphModule, node: fx.Node, trait: Trait) -> bool:
    """Whether a node is of an operator of the vocabulary with a trait."""
    operator = operator_of(gm, node)
    return operator is not None and trait in operator.traits


def call_sites(gm: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """All nodes that call the same module as this node, itself included; the module may have several names."""
    paths = _paths_of(gm, gm.get_submodule(str(node.target)))
    return [n for n in gm.graph.nodes if n.op == "call_module" and n.target in paths]


def _paths_of(gm: fx.GraphModule, module: nn.Module) -> set[str]:
    """All names of a module. Looking up the module of each node instead would take quadratic time."""
    found: set[str] = set()
    waiting: list[tuple[str, nn.Module]] = [("", gm)]
    while waiting:
        prefix, holder = waiting.pop()
        for name, child in holder._modules.items():  # named_children() names a child once
            if child is module:
                found.add(prefix + name)
            if child is not None:
                waiting.append((f"{prefix}{name}.", child))
    return found


def only_reader(node: fx.Node) -> fx.Node | None:
    """The single node that reads this one; None without readers, with several, or if one reads it twice."""
    readers = list(node.users)
    if len(readers) != 1:
        return None
    arguments: list[fx.Node] = []  # all_input_nodes names each node once, however often it is read
    fx.node.map_arg((readers[0].args, readers[0].kwargs), arguments.append)
    return readers[0] if arguments.count(node) == 1 else None


def why_not_replaceable(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """Reason why this node's layer must not be replaced (it is shared, hooked or parametrized); None if it may be."""
    layer = gm.get_submodule(str(node.target))
    paths = _paths_of(gm, layer)
    calls = sum(n.op == "call_module" and n.target in paths for n in gm.graph.nodes)
    if calls > 1:
        return f"the layer of {node.name} is called at {calls} places"
    others = [n.name for n in gm.graph.nodes if n is not node and _sees(n, paths)]
    if others:
        return f"the layer of {node.name} is read by {', '.join(others)} too"
    return why_not_plain(layer)


def _sees(node: fx.Node, paths: set[str]) -> bool:
    """Whether a node reads parameters of the layer with these names, or calls a module that contains it."""
    if node.op == "get_attr":
        return str(node.target).rpartition(".")[0] in paths
    return node.op == "call_module" and any(f"{path}.".startswith(f"{node.target}.") for path in paths)


def why_not_plain(layer: nn.Module) -> str | None:
    """Reason why a layer does not compute what its class does (a hook or a parametrization), or None."""
    if not isinstance(getattr(layer, "weight", None), nn.Parameter | None):
        return "its weight is computed at every call, by a hook or a parametrization"
    if layer._forward_pre_hooks or layer._forward_hooks:  # torch has no public way to ask
        return "a forward hook sees its input or changes its output"
    return None


def bypass(gm: fx.GraphModule, node: fx.Node, source: fx.Node) -> None:
    """Give a node's readers its input instead, and erase it; its module goes, too, unless another node calls it."""
    node.replace_all_uses_with(source)
    gm.graph.erase_node(node)
    if node.op == "call_module":
        _delete_unused(gm, str(node.target))


def erase_unread(gm: fx.GraphModule, constants: Iterable[fx.Node]) -> str:
    """Erase those constants that nothing reads any more; the text that names them, for the report of a pass."""
    unread = [constant for constant in dict.fromkeys(constants) if not constant.users]
    for constant in unread:
        gm.graph.erase_node(constant)
    return "".join(f", with {constant.name}" for constant in unread)


def _delete_unused(gm: fx.GraphModule, path: str) -> None:
    """Delete the module at a path and parents that become empty; torch's own function takes quadratic time."""
    unused = None
    while path and not any(_reaches(n, path) for n in gm.graph.nodes):
        unused, path = path, path.rpartition(".")[0]
    if unused is not None:
        gm.delete_submodule(unused)


def _reaches(node: fx.Node, path: str) -> bool:
    """Whether a node uses the module or tensor at a path, one inside it, or one that contains it."""
    if node.op not in ("call_module", "get_attr"):
        return False
    used = f"{node.target}."
    return used.startswith(f"{path}.") or f"{path}.".startswith(used)


def insert_call(
    gm: fx.GraphModule,
    before: fx.Node,
    function: Callable[..., Any],
    *args: Any,
    like: fx.Node | None = None,
    **kw: Any,
) -> fx.Node:
    """Insert a ``call_function`` node before another; it inherits shape, dtype and source line of ``like``."""
    with gm.graph.inserting_before(before):
        node = gm.graph.call_function(function, args, kw)
    if like is not None:
        node.meta = carried_meta(like)
    return node


def replace_node(gm: fx.GraphModule, node: fx.Node, new: fx.Node) -> None:
    """Give a node's readers another node instead, and erase it."""
    node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    gm.graph.erase_node(node)


def respell(node: fx.Node, function: Callable[..., Any], **settings: Any) -> None:
    """Make a ``call_function`` node call another function with the same tensors; it keeps its name."""
    assert node.op == "call_function"
    node.target = function
    node.kwargs = settings


def with_parameters(module: M, **parameters: Tensor | None) -> M:
    """A module with the same settings and other parameters; the given module is not changed."""
    twin = copy.copy(module)
    twin._parameters = dict(module._parameters)
    for name, value in parameters.items():
        trainable = None if value is None else nn.Parameter(value.detach().contiguous())
        twin.register_parameter(name, trainable)
    return twin


def add_module(gm: fx.GraphModule, name: str, module: nn.Module) -> str:
    """Add a module under ``name``, made unique; return its final name."""
    name = submodule_path(name)
    unique, i = name, 1
    while _is_taken(gm, unique):
        unique, i = f"{name}_{i}", i + 1
    gm.add_submodule(unique, module)
    return unique


def _is_taken(gm: fx.GraphModule, path: str) -> bool:
    holder: object = gm
    for name in path.split("."):
        if not hasattr(holder, name):
            return False
        holder = getattr(holder, name)
    return True


def submodule_path(name: str) -> str:
    """A valid path for a submodule: ``_`` is appended to names of module methods, such as ``to`` or ``half``."""
    return f"{name}_" if hasattr(nn.Module, name.rpartition(".")[2]) else name


def is_floating_point(node: fx.Node) -> bool:
    """Whether a node yields a floating point tensor of any width."""
    dtype = node.meta.get(DTYPE)
    return isinstance(dtype, torch.dtype) and dtype.is_floating_point


def is_finite(*tensors: Tensor | None) -> bool:
    """Whether all values of all given tensors are finite."""
    return all(t is None or bool(torch.isfinite(t).all()) for t in tensors)


def clip_bounds(gm: fx.GraphModule, node: fx.Node) -> tuple[float, float] | None:
    """(low, high) of a ReLU or clamp with constant bounds; None for anything else."""
    bounds = BOUNDS.get(operator_name(gm, node) or "")
    return bounds(node) if bounds is not None else None


def _clip_numbers(node: fx.Node) -> tuple[float, float] | None:
    low, high = node.kwargs.get("min", -math.inf), node.kwargs.get("max", math.inf)
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low <= high:
        return float(low), float(high)
    return None


BOUNDS: dict[str, Callable[[fx.Node], tuple[float, float] | None]] = {
    "relu": lambda node: (0.0, math.inf),
    "clip": _clip_numbers,
}
"""By operator: the constant bounds between which a call keeps its input; None if they are not constant."""


def order_of(node: fx.Node, rank: int) -> list[int]:
    """The input dimension that becomes each output dimension of a permute or transpose; empty if it is computed."""
    settings = node.kwargs
    if "dims" in settings:
        dims = settings["dims"]
        return [d % rank for d in dims if isinstance(d, int)] if isinstance(dims, (tuple, list)) else []
    a, b = settings.get("dim0"), settings.get("dim1")
    if not isinstance(a, int) or not isinstance(b, int):
        return []
    order = list(range(rank))
    order[a % rank], order[b % rank] = order[b % rank], order[a % rank]
    return order
