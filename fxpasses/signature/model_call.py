"""The call of a model: inputs in order, or by the names of its parameters, and the types that are allowed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..errors import GraphError


def bound(model: nn.Module, example_inputs: Any) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Example inputs in the order of the model's parameters, and the names of those that are given by name.

    A dict holds inputs by name if ``forward`` can be called with it; otherwise it is a single input.

    Raises:
        GraphError: an input is an object that may contain tensors that capture cannot find.
    """
    inputs, keywords = (example_inputs,), tuple[str, ...]()
    if isinstance(example_inputs, tuple) and not hasattr(example_inputs, "_fields"):
        inputs = example_inputs
    elif isinstance(example_inputs, Mapping):
        named = _by_name(model, example_inputs)
        if named is not None:
            inputs, keywords = tuple(named.values()), tuple(named)
    _require_plain(model, inputs)
    return inputs, keywords


def _by_name(model: nn.Module, given: Mapping[Any, Any]) -> dict[str, Any] | None:
    """The inputs in the order of the parameters; None if the keys are not names of parameters."""
    if not given or not all(isinstance(key, str) for key in given):
        return None
    signature = inspect.signature(model.forward)
    try:
        signature.bind(**given)
    except TypeError:
        return None
    order = [name for name in signature.parameters if name in given]
    return {name: given[name] for name in [*order, *(key for key in given if key not in order)]}


def called(function: Callable[..., Any], inputs: tuple[Any, ...], keywords: tuple[str, ...], *first: Any) -> Any:
    """Call a function with ``first``, then with inputs, of which the last ones are passed by these names."""
    behind = len(inputs) - len(keywords)
    return function(*first, *inputs[:behind], **dict(zip(keywords, inputs[behind:], strict=True)))


def argument_names(function: Callable[..., Any], args: tuple[Any, ...], keywords: tuple[str, ...] = ()) -> list[str]:
    """The name of each argument; arguments in ``*args`` are numbered, the last names are ``keywords``."""
    signature = inspect.signature(function)
    behind = len(args) - len(keywords)
    names: list[str] = []
    for name, value in signature.bind_partial(*args[:behind]).arguments.items():
        variadic = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        names += [f"{name}_{i}" for i in range(len(value))] if variadic else [name]
    return [*names, *keywords]


def _require_plain(model: nn.Module, inputs: tuple[Any, ...]) -> None:
    for number, value in enumerate(inputs):
        for leaf in pytree.tree_leaves(value):
            if not isinstance(leaf, Tensor) and (is_dataclass(leaf) or _holds_tensors(leaf)):
                raise GraphError(
                    f"input {number} of {type(model).__name__} holds a {type(leaf).__name__}",
                    why="a graph takes tensors, numbers, and tuples, lists and dicts of them",
                    fix="wrap the model in a module that takes these and makes that object of them",
                    step="capture",
                )


def _holds_tensors(value: object) -> bool:
    found = list(value.values()) if isinstance(value, Mapping) else list(getattr(value, "__dict__", {}).values())
    return any(isinstance(x, Tensor) for x in pytree.tree_leaves(found))
