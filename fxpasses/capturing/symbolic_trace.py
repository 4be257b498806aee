"""Variant of ``torch.fx.symbolic_trace`` that keeps layers whole, records ``+=`` correctly, and says where it failed.

Layers with forward hooks or parametrizations are traced: the operations of the hooks are recorded, a computed weight is
a constant, and :mod:`fxpasses.capturing.lifting` turns the calls into plain layers again.
"""

from __future__ import annotations

import contextlib
import copy
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from ..callers_code import is_a_failure
from ..errors import GraphError
from ..graph.graph_module import RecordedModule
from ..graph.operator_table import VOCABULARY
from ..graph.operators import Trait
from ..signature.model_call import argument_names, called
from ..user_frames import calling_lines, first_line, users_frame
from .causal_hints import without_causal_hints
from .remedies import layers_in, part_remedy, whole_module_remedy
from .transforms import plain_forward

_MOST_LEAVES = 32


def _in_place(function: Callable[..., Any]) -> Callable[[fx.Proxy, Any], fx.Proxy]:
    def record(self: fx.Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return record


class _Proxy(fx.Proxy):
    """A proxy for which ``y += x`` changes ``y``, as for tensors; torch.fx would record ``y + x``."""

    __iadd__ = _in_place(operator.iadd)
    __isub__ = _in_place(operator.isub)
    __imul__ = _in_place(operator.imul)
    __itruediv__ = _in_place(operator.itruediv)
    __ifloordiv__ = _in_place(operator.ifloordiv)
    __imod__ = _in_place(operator.imod)
    __ipow__ = _in_place(operator.ipow)
    __imatmul__ = _in_place(operator.imatmul)
    __iand__ = _in_place(operator.iand)
    __ior__ = _in_place(operator.ior)
    __ixor__ = _in_place(operator.ixor)


class _Tracer(fx.Tracer):
    """A tracer that gives the model its buffers, as torch.fx does, or proxies if they are combined with input sizes."""

    def __init__(
        self,
        inputs: tuple[Any, ...],
        keywords: tuple[str, ...],
        leaves: Sequence[str],
        open_containers: bool,
        *,
        proxy_buffers: bool = False,
    ) -> None:
        super().__init__(autowrap_functions=())
        self.proxy_buffer_attributes = proxy_buffers
        self._inputs, self._keywords = inputs, keywords
        self._leaves, self._open_containers = frozenset(leaves), open_containers
        self.failed_in: str | None = None

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_node(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any | None = None,
    ) -> fx.Node:
        node = super().create_node(kind, target, args, kwargs, name, type_expr)
        if kind.startswith("call_"):
            node.stack_trace = calling_lines()
        return node

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if module_qualified_name in self._leaves:
            return True
        if "parametrizations" in module_qualified_name.split("."):
            return False
        layer = VOCABULARY.layer(m)
        if layer is not None and Trait.OPAQUE in layer.traits:
            return True
        if _is_changed_from_outside(m):
            return False
        if layer is not None or VOCABULARY.spells(type(m)):
            return True
        if self._open_containers and holds_layers(m):
            return False
        return super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        try:
            return super().call_module(m, plain_forward(m) or forward, args, kwargs)
        except Exception:  # whatever a model raises passes through: only where it did is noted
            if self.failed_in is None:
                self.failed_in = self.path_of_module(m)
            raise

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: dict[str, Any] | tuple[Any, ...] | None = None
    ) -> tuple[Any, list[Any]]:
        """One placeholder for each given input; parameters that are not given have their defaults."""
        names = argument_names(root_fn, (self.root, *self._inputs), self._keywords)[1:]
        call = nn.Module.__call__ if _is_changed_from_outside(self.root) else root_fn
        arguments = [self._argument(n, v) for n, v in zip(names, self._inputs, strict=True)]
        return lambda root, *given: called(call, given, self._keywords, root), [self.root, *arguments]

    def create_arg(self, a: Any) -> Any:
        """Keep a dict that is also a dataclass as it is; torch.fx would record a plain dict."""
        if isinstance(a, dict) and is_dataclass(type(a)):
            return self.create_node("call_function", type(a), (), {k: self.create_arg(v) for k, v in a.items()})
        return super().create_arg(a)

    def _argument(self, name: str, value: Any) -> Any:
        proxy = self.create_proxy("placeholder", name, (), {})
        return _unfold(proxy, value)


def _unfold(proxy: Any, value: Any) -> Any:
    """The proxy of a tensor; sequences and dicts of tensors item by item; any other value is a constant."""
    if isinstance(value, Tensor):
        return proxy
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_unfold(proxy[i], v) for i, v in enumerate(value)))
    if type(value) in (list, tuple):
        return type(value)(_unfold(proxy[i], v) for i, v in enumerate(value))
    if type(value) in (dict, OrderedDict):
        return type(value)((k, _unfold(proxy[k], v)) for k, v in value.items())
    return value


def holds_layers(module: nn.Module) -> bool:
    """Whether a module contains layers that int8 could not compute if it were kept whole."""
    return any(VOCABULARY.layer(m) for m in module.modules())


def _is_changed_from_outside(module: nn.Module) -> bool:
    """Whether hooks or parametrizations change the results of a module."""
    hooks = module._forward_hooks or module._forward_pre_hooks  # torch has no public question for this
    return bool(hooks) or parametrize.is_parametrized(module)


def trace_graph(
    model: nn.Module,
    inputs: tuple[Any, ...],
    leaves: Sequence[str] = (),
    *,
    keywords: tuple[str, ...] = (),
    open_containers: bool = True,
) -> fx.GraphModule:
    """Trace a model; modules without layers that cannot be traced are kept whole.

    Args:
        model: it is not changed; constants found during the trace are attached to a shallow copy.
        inputs: one for each argument; those that are not tensors are fixed at their value.
        leaves: qualified names of modules to keep whole.
        keywords: names of the last arguments, which are passed by name.
        open_containers: whether to trace into torch's own modules with layers, such as ``nn.TransformerEncoderLayer``.

    Raises:
        GraphError: the model cannot be traced.
    """
    kept = list(leaves)
    _require_modules(model, kept)
    for _ in range(_MOST_LEAVES):
        try:
            return _trace_once(model, _Tracer(inputs, keywords, kept, open_containers))
        except UntraceableError as error:
            failure = error
        try:
            return _trace_once(model, _Tracer(inputs, keywords, kept, open_containers, proxy_buffers=True))
        except UntraceableError:
            name = failure.module
            if not name or name in kept or holds_layers(model.get_submodule(name)):
                told = _with_remedy(failure, model, _Tracer(inputs, keywords, [*kept, name or ""], open_containers))
                raise told from failure.__cause__
            kept.append(name)
    raise untraceable(model, RuntimeError(f"more than {_MOST_LEAVES} modules cannot be traced"), kept[0])


class UntraceableError(GraphError):
    """Error of symbolic_trace; ``module`` is the qualified name of the module, or None for the model's own forward."""

    module: str | None = None


def _trace_once(model: nn.Module, tracer: _Tracer) -> fx.GraphModule:
    try:
        with torch.no_grad(), without_causal_hints(), _attributes_kept(model):
            graph = tracer.trace(copy.copy(model))
    except BaseException as error:  # a model's forward may raise anything at all when fed a Proxy, and exit, too
        if not is_a_failure(error):
            raise
        raise untraceable(model, error, tracer.failed_in) from error
    return RecordedModule(tracer.root, graph, type(model).__name__)


@contextlib.contextmanager
def _attributes_kept(model: nn.Module) -> Iterator[None]:
    """Restore buffers and plain attributes that are proxies at the end.

    A forward that assigns to ``self``, a running mean or a cache, gets proxies there, with which the model could not
    run again. Tensors that it changes in place are not restored: they are changed by every other call, too.
    """
    buffers = [(m, dict(m.named_buffers(recurse=False, remove_duplicate=False))) for m in model.modules()]
    attributes = [(m, dict(vars(m))) for m in model.modules()]
    try:
        yield
    finally:
        for module, tensors in buffers:
            for name, tensor in tensors.items():
                if isinstance(getattr(module, name, None), fx.Proxy):
                    setattr(module, name, tensor)
        for module, before in attributes:
            for name in [name for name, value in vars(module).items() if isinstance(value, fx.Proxy)]:
                if name in before:
                    setattr(module, name, before[name])
                else:
                    delattr(module, name)


def _with_remedy(failure: UntraceableError, model: nn.Module, tracer: _Tracer) -> UntraceableError:
    """The error with a remedy that works: keeping the module whole is tried before it is proposed."""
    name, fix = failure.module, part_remedy(model)
    if name and layers_in(model) > layers_in(model.get_submodule(name)):
        with contextlib.suppress(UntraceableError):
            _trace_once(model, tracer)
            fix = whole_module_remedy(name)
    told = UntraceableError(failure.what, why=failure.why, fix=fix, at=failure.at, step=failure.step)
    told.module = name
    return told


def _require_modules(model: nn.Module, names: list[str]) -> None:
    known = {name for name, _ in model.named_modules()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise GraphError(
            f"{type(model).__name__} has no module {unknown[0]!r}",
            why="leaves are qualified names, as model.named_modules() lists them",
            fix="name a module that exists",
            step="capture",
        )


def untraceable(model: nn.Module, error: BaseException, failed_in: str | None) -> UntraceableError:
    """The error for a model that symbolic_trace cannot trace."""
    untraced = UntraceableError(
        f"{type(model).__name__} cannot be traced" + (f" (in {failed_in!r})" if failed_in else ""),
        at=users_frame(error),
        why=f"symbolic_trace: {first_line(error)}",
        fix=part_remedy(model),
        step="capture",
    )
    untraced.module = failed_in
    return untraced
