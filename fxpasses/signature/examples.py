"""The example inputs of a graph: shape and dtype of every tensor at capture, nested like the model's inputs.

The fact ``example_inputs`` has an entry for each argument. A tensor is replaced by its :data:`Spec`; lists, tuples and
dicts contain specs; any other value is stored as it is, since capture made a constant of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ..errors import InputError
from ..graph.stages import graph_facts

Spec = tuple[tuple[int, ...], torch.dtype]
"""Shape and dtype of a tensor."""


@dataclass(frozen=True)
class InputTensor:
    """A tensor among the inputs of a graph.

    Attributes:
        argument: index of the argument that is, or contains, the tensor.
        name: name of the argument, followed by keys if it is nested: ``x``, ``maps_0``; also its name in ONNX files.
        spec: its shape and dtype.
    """

    argument: int
    name: str
    spec: Spec


def is_spec(value: object) -> TypeGuard[Spec]:
    """Whether an entry of ``example_inputs`` stands for a tensor."""
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], torch.dtype)


def specs_of(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fact ``example_inputs`` for the given inputs."""
    return tuple(map(_spec_of, inputs))


def _spec_of(value: Any) -> Any:
    """The spec of a value; structures become plain ones, a named tuple becomes a tuple."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, dict):
        return {key: _spec_of(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [*map(_spec_of, value)] if isinstance(value, list) else tuple(map(_spec_of, value))
    return value


def examples_of(gm: fx.GraphModule) -> tuple[Any, ...]:
    """The example inputs of a graph, with an entry for each argument."""
    examples = graph_facts(gm).example_inputs
    assert examples is not None, "captured, or loaded"
    return examples


def with_tensors(examples: tuple[Any, ...], make: Callable[[Spec], Any]) -> tuple[Any, ...]:
    """The examples with each tensor's spec replaced by ``make(spec)``, in order."""
    made: tuple[Any, ...] = pytree.tree_map(lambda e: make(e) if is_spec(e) else e, examples, is_leaf=is_spec)
    return made


def specs_in(examples: tuple[Any, ...]) -> list[Spec]:
    """The specs of all tensors, in order."""
    return [leaf for leaf in pytree.tree_leaves(examples, is_leaf=is_spec) if is_spec(leaf)]


def input_tensors(gm: fx.GraphModule) -> list[InputTensor]:
    """Every tensor among the inputs of a graph, in order."""
    return named_tensors(argument_names_of(gm), examples_of(gm))


def named_tensors(names: Sequence[str], examples: tuple[Any, ...]) -> list[InputTensor]:
    """Every tensor among arguments with these names, in order."""
    found = []
    for number, (name, example) in enumerate(zip(names, examples, strict=True)):
        for path, leaf in pytree.tree_flatten_with_path(example, is_leaf=is_spec)[0]:
            if is_spec(leaf):
                found.append(InputTensor(number, "_".join([name, *map(key_text, path)]), leaf))
    return found


def key_text(key: Any) -> str:
    """One step of a path through nested values, as pytree writes it: a key, a number or a name."""
    return str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key))))


def argument_names_of(gm: fx.GraphModule) -> list[str]:
    """The names of a graph's arguments, which inputs by name must have."""
    return [str(n.target) for n in gm.graph.nodes if n.op == "placeholder"]


def tensors_in(inputs: Any) -> list[Tensor]:
    """The tensors among inputs, in order."""
    return [x for x in pytree.tree_leaves(inputs) if isinstance(x, Tensor)]


def inputs_of(gm: fx.GraphModule, batch: Any, what: str) -> tuple[Any, ...]:
    """A batch as a tuple of the graph's arguments: a tensor, a tuple or list of them, or a dict by their names.

    Args:
        what: description of the batch, for the message.

    Raises:
        InputError: the keys of a dict are not the names of the graph's arguments.
    """
    if not isinstance(batch, Mapping):
        return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    names, examples = argument_names_of(gm), examples_of(gm)
    if len(examples) == 1 and isinstance(examples[0], Mapping) and [*batch] != names:
        return (batch,)
    if {*batch} != {*names}:
        raise InputError(
            what,
            why=f"it has {_listed(batch)}; the model was captured with {_listed(names)}",
            fix="give a dict with exactly those keys, or a tuple in that order",
        )
    return tuple(batch[name] for name in names)


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names)) or "nothing"
