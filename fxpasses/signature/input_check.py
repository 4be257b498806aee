"""Check that inputs fit the example inputs of capture: their number, structure, shapes and dtypes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from ..errors import InputError
from ..graph.stages import graph_facts
from .examples import InputTensor, examples_of, input_tensors, is_spec, specs_of, tensors_in, with_tensors
from .free_sizes import Dims, free_sizes

_TENSOR = "tensor"


def check_inputs(gm: fx.GraphModule, inputs: tuple[Any, ...], what: str) -> None:
    """Raise InputError unless a graph accepts these inputs.

    Args:
        what: description of the inputs, for the message.
    """
    expected = examples_of(gm)
    if len(inputs) != len(expected):
        raise InputError(
            what,
            why=f"it has {len(inputs)} inputs, the model takes {len(expected)}",
            fix=_ALIKE,
        )
    for x, example in zip(inputs, with_tensors(expected, lambda _: _TENSOR), strict=True):
        _check_structure(x, example, what)
    free, tensors = free_sizes(gm).inputs, input_tensors(gm)
    ranges = graph_facts(gm).example_ranges or (None,) * len(tensors)
    sizes: dict[str, int] = {}
    for number, (x, tensor) in enumerate(zip(tensors_in(inputs), tensors, strict=True)):
        _check_tensor(x, tensor, free[number], sizes, what)
        _check_values(x, ranges[number] is not None, what)


def _check_structure(x: Any, example: Any, what: str) -> None:
    """Check that there are tensors in the same places as at capture; other values are constants and are not checked."""
    leaves = pytree.tree_leaves(example)
    if _TENSOR not in leaves:
        if tensors_in(x):
            raise InputError(what, why=f"it holds a tensor where the model was captured with {example!r}", fix=_ALIKE)
        return
    found = pytree.tree_leaves(x)
    if pytree.tree_structure(specs_of((x,)), is_leaf=is_spec) != pytree.tree_structure((example,)):
        kind = "a tensor" if example == _TENSOR else f"a {type(example).__name__} of {len(leaves)} values"
        held = f"a {type(x).__name__}" + ("" if found == [x] else f" of {len(found)} values")
        raise InputError(what, why=f"it holds {held} where the model takes {kind}", fix=_ALIKE)
    for value, leaf in zip(found, leaves, strict=True):
        if leaf == _TENSOR and not isinstance(value, Tensor):
            raise InputError(what, why=f"it holds a {type(value).__name__} where the model takes a tensor", fix=_ALIKE)


_ALIKE = "yield a tensor, or a tuple of exactly the model's inputs; calibration and parity take (inputs, labels), too"


def _check_tensor(x: Tensor, tensor: InputTensor, free: Dims, sizes: dict[str, int], what: str) -> None:
    shape, dtype = tensor.spec
    fits = x.dim() == len(shape) and all(d in free or x.shape[d] == size for d, size in enumerate(shape))
    if not fits or x.dtype != dtype:
        told = tuple(free.get(d, size) for d, size in enumerate(shape))
        raise InputError(
            what,
            why=f"it is {tuple(x.shape)} {x.dtype}; the model was captured for {told} {dtype}",
            fix="preprocess calibration data exactly as the example inputs" + _how_to_free(x, tensor, free),
        )
    for d, name in free.items():
        if sizes.setdefault(name, x.shape[d]) != x.shape[d]:
            raise InputError(
                what,
                why=f"dimension {d} of {tensor.name} is {x.shape[d]}, and {name} is {sizes[name]} elsewhere in it",
                fix="give inputs of one batch the same number of samples",
            )


def _check_values(x: Tensor, is_finite: bool, what: str) -> None:
    """Refuse NaN, and infinity where the example had none: a mask that is added to scores may hold it."""
    if x.is_floating_point() and bool((~torch.isfinite(x) if is_finite else torch.isnan(x)).any()):
        raise InputError(what, why="it holds NaN or infinity", fix="check the preprocessing of that data")


def _how_to_free(x: Tensor, tensor: InputTensor, free: Dims) -> str:
    shape, dtype = tensor.spec
    if x.dim() != len(shape) or x.dtype != dtype:
        return ""
    other = [d for d, size in enumerate(shape) if d not in free and x.shape[d] != size]
    names = {2: "height", 3: "width"} if len(shape) == 4 else {}
    dims = ", ".join(f'{d}: "{names.get(d, f"size_{d}")}"' for d in other)
    return f'; or free its size at capture: dynamic={{"{tensor.name}": {{{dims}}}}}'
