"""Dimensions that the caller wants free: ``capture(model, x, dynamic={"x": {2: "height", 3: "width"}})``.

Each is tested: model and graph run with another size, and must agree. Small changes are tried first, then larger ones,
since a net may accept multiples of 8 or 32 only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..errors import GraphError, InputError
from ..signature.examples import InputTensor, named_tensors, specs_of, tensors_in
from ..signature.free_sizes import Dims, FreeSizes, merged, moved_dims, picked, run_or_none
from ..signature.model_call import argument_names
from ..signature.outputs import leaves_of, tensors_of
from .checks import run_model, why_different

Dynamic = Mapping[str, Mapping[int, Any]]
"""Names of free dimensions by the name of an input; a ``torch.export.Dim`` stands for its name."""

_STEPS = (1, 2, 4, 8, 16, 32, 64)


def wanted_dims(
    model: nn.Module, inputs: tuple[Any, ...], keywords: tuple[str, ...], dynamic: Dynamic
) -> tuple[Dims, ...]:
    """The free dimensions of each tensor, in order, as the caller requests them.

    Raises:
        InputError: there is no such input or dimension, or a size has no name.
    """
    tensors = named_tensors(argument_names(model.forward, inputs, keywords), specs_of(inputs))
    known = {tensor.name: n for n, tensor in enumerate(tensors)}
    wanted: list[Dims] = [{} for _ in tensors]
    for name, dims in dynamic.items():
        if name not in known:
            raise InputError(
                f"dynamic={{{name!r}: ...}}",
                why=f"{type(model).__name__} is given no tensor of that name",
                fix=f"name one of {', '.join(known) or 'its inputs, of which there are none'}",
            )
        tensor = tensors[known[name]]
        for dim, size in dims.items():
            wanted[known[name]][_checked_dim(tensor, dim)] = _checked_name(tensor, dim, size)
    return tuple(wanted)


def image_sizes(model: nn.Module, inputs: tuple[Any, ...]) -> Dynamic:
    """Value of ``dynamic`` for a model of images: height and width of each input ``[B, C, H, W]``.

    Raises:
        InputError: no input is of images.
    """
    tensors = named_tensors(argument_names(model.forward, inputs), specs_of(inputs))
    found = {tensor.name: {2: "height", 3: "width"} for tensor in tensors if len(tensor.spec[0]) == 4}
    if not found:
        raise InputError(
            f"`dynamic_size=True` for {type(model).__name__}",
            why=f"no input is of images: {', '.join(str(list(tensor.spec[0])) for tensor in tensors)}",
            fix="leave it out; in Python, fx.quantize(..., dynamic={name: {dimension: size}}) frees any dimension",
        )
    return found


def _checked_dim(tensor: InputTensor, dim: Any) -> int:
    rank = len(tensor.spec[0])
    if not isinstance(dim, int) or not -rank <= dim < rank:
        raise InputError(
            f"dynamic: dimension {dim!r} of {tensor.name}",
            why=f"its shape is {list(tensor.spec[0])}",
            fix=f"use a number from 0 to {rank - 1}" if rank else "leave it out: it has no dimensions",
        )
    return dim % rank


def _checked_name(tensor: InputTensor, dim: int, size: Any) -> str:
    name = getattr(size, "__name__", size)
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError(
            f"dynamic: dimension {dim} of {tensor.name} is {size!r}",
            why="a free size needs a name; sizes with the same name are equal",
            fix=f'{{"{tensor.name}": {{{dim}: "height"}}}}',
        )
    return name


def free_as_wanted(
    model: nn.Module,
    gm: fx.GraphModule,
    inputs: tuple[Any, ...],
    keywords: tuple[str, ...],
    wanted: tuple[Dims, ...],
    learned: FreeSizes,
    *,
    steps: Sequence[int] = _STEPS,
) -> FreeSizes:
    """The free sizes known so far together with the wanted ones, after a test of these.

    Args:
        steps: numbers to add to the example's size, tried one after the other until the model accepts one.

    Raises:
        GraphError: the model accepts no other size, or the graph gives other results with it.
    """
    with torch.no_grad():
        outputs = tensors_of(gm(*inputs))
    sizes = learned
    for name in dict.fromkeys(name for dims in wanted for name in dims.values()):
        places = tuple(next((d for d, n in dims.items() if n == name), None) for dims in wanted)
        size = next(x.shape[d] for x, d in zip(tensors_in(inputs), places, strict=True) if d is not None)
        other, tried, expected = _other_size(model, inputs, keywords, places, size, name, steps)
        found = run_or_none(gm, other)
        _require_same(gm, name, expected, found)
        moves = [moved_dims(a, b) for a, b in zip(outputs, found or [], strict=True)]
        more = FreeSizes(
            tuple({} if d is None else {d: name} for d in places),
            tuple({d: name for d in dims if a.shape[d] == size} for a, dims in zip(outputs, moves, strict=True)),
            tried={name: tried},
        )
        sizes = merged(sizes, more)
    return sizes


def with_free_images(
    model: nn.Module,
    gm: fx.GraphModule,
    inputs: tuple[Any, ...],
    keywords: tuple[str, ...],
    expected: Any,
    learned: FreeSizes,
) -> FreeSizes:
    """Make height and width free without a request, if images become images of at least the same size.

    Such models are super-resolution, denoising and segmentation; a classifier is trained for one size.
    """
    given, made = tensors_in(inputs), list(leaves_of(expected))
    if len(given) != len(inputs) or not given or not made or not all(map(_is_image, [*given, *made])):
        return learned
    height, width = (max(x.shape[d] for x in given) for d in (-2, -1))
    if any(x.shape[-2] < height or x.shape[-1] < width for x in [*given, *made]):
        return learned
    names = {2: "height", 3: "width"}
    try:
        free = free_as_wanted(model, gm, inputs, keywords, tuple(names for _ in given), learned, steps=(1,))
    except GraphError:
        return learned
    return replace(free, unasked=frozenset(names.values())) if _grows(gm, inputs, height, width) else learned


def _grows(gm: fx.GraphModule, inputs: tuple[Any, ...], height: int, width: int) -> bool:
    """Whether images one pixel larger become images of at least the same size, too: others are cut off."""
    larger = inputs
    for dim, size in ((2, height), (3, width)):
        larger = picked(larger, tuple(dim for _ in inputs), torch.arange(size + 1) % size)
    made = run_or_none(gm, larger)
    return made is not None and all(x.shape[-2] > height and x.shape[-1] > width for x in made)


def _is_image(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point() and x.dim() == 4 and min(x.shape[-2:]) > 1


def _other_size(
    model: nn.Module,
    inputs: tuple[Any, ...],
    keywords: tuple[str, ...],
    places: Sequence[int | None],
    size: int,
    name: str,
    steps: Sequence[int],
) -> tuple[tuple[Any, ...], int, Any]:
    """Inputs of another size that the model accepts, the size, and the model's output for them."""
    refused = None
    for other in [size + step for step in steps] if size else []:
        given = picked(inputs, tuple(places), torch.arange(other) % max(1, size))
        try:
            return given, other, run_model(model, given, keywords)
        except GraphError as error:
            refused = error
    raise GraphError(
        f"dynamic size {name!r}",
        why=f"{type(model).__name__} takes no other than {size}: {refused.why if refused else 'it is empty'}",
        fix="leave it out, or write the model so that it takes other sizes",
        at=refused.at if refused else None,
        step="capture",
    )


def _require_same(gm: fx.GraphModule, name: str, expected: Any, found: list[Tensor] | None) -> None:
    wanted = [x for x in leaves_of(expected) if isinstance(x, Tensor)]
    if found is not None and len(found) == len(wanted):
        why = next((w for w in map(why_different, found, wanted) if w), None)
    else:
        why = "it does not run"
    if why is not None:
        raise GraphError(
            f"dynamic size {name!r}: the captured graph of {type(gm).__name__} computes something else than the model",
            why=f"with another size, {why}: forward makes a Python number of it, which a graph fixes",
            fix="leave it out, or take sizes from tensors where they are needed: x.shape[2]",
            step="capture",
        )
