"""The dimensions of a graph's inputs and outputs that may have another size; they are found by running the graph.

The batch need not be dimension 0. Outputs may be ``[T, B, C]``, recurrent state ``[layers, B, H]``, a prompt has one
row, a time step no batch, and two inputs may have different numbers of rows. So after capture the graph is run again
with some samples repeated, or in another order, along the dimensions that may be the batch. They are the batch if every
output repeats its samples in the same way. Dimension 0 is tried first; if the graph mixes samples, changed output sizes
are enough. Then the other inputs are tried for sizes of their own. Further dimensions are free only at the caller's
request (:mod:`fxpasses.capturing.dynamic_sizes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ..graph.stages import graph_facts
from .examples import input_tensors, tensors_in
from .outputs import tensors_of

BATCH = "batch"
Dims = dict[int, str]
"""The free dimensions of a tensor, with the names of their sizes: dimensions with the same name have equal sizes."""

_MOST_TRIES = 48
_NEAR = 1e-3
"""Largest change of a sample's output when other samples are added, as a share of the output's largest value."""


@dataclass(frozen=True)
class FreeSizes:
    """The free dimensions of each tensor among a graph's inputs and outputs, in order.

    Attributes:
        inputs: free dimensions of each input.
        outputs: free dimensions of each output.
        separate: whether the result for a sample does not depend on the other samples of its batch.
        tried: for each name a size other than the example's with which the graph was run.
        unasked: names of sizes that are free without a request; they become fixed if a file cannot be written with
            them.
    """

    inputs: tuple[Dims, ...] = ()
    outputs: tuple[Dims, ...] = ()
    separate: bool = False
    tried: dict[str, int] = field(default_factory=dict)
    unasked: frozenset[str] = frozenset()

    @property
    def names(self) -> set[str]:
        return {name for dims in self.inputs for name in dims.values()}

    def without(self, names: Set[str]) -> FreeSizes:
        """A copy in which these sizes are fixed."""

        def kept(tensors: tuple[Dims, ...]) -> tuple[Dims, ...]:
            return tuple({d: name for d, name in dims.items() if name not in names} for dims in tensors)

        tried = {name: size for name, size in self.tried.items() if name not in names}
        return replace(
            self, inputs=kept(self.inputs), outputs=kept(self.outputs), tried=tried, unasked=self.unasked - names
        )


def free_sizes(gm: fx.GraphModule) -> FreeSizes:
    """The free sizes of a captured graph; dimension 0 of every input if they are unknown."""
    if (found := graph_facts(gm).free_sizes) is not None:
        return found
    return FreeSizes(tuple({0: BATCH} if tensor.spec[0] else {} for tensor in input_tensors(gm)))


def set_free_sizes(gm: fx.GraphModule, sizes: FreeSizes) -> None:
    graph_facts(gm).free_sizes = sizes


def learn_batch(gm: nn.Module, inputs: tuple[Any, ...], expected: Any) -> FreeSizes:
    """Find the batch of a graph or another module, and inputs with free sizes of their own.

    Args:
        inputs: the example inputs.
        expected: the model's output for them.
    """
    given, outputs = tensors_in(inputs), tensors_of(expected)
    sizes, found = fixed_sizes(inputs, expected), None
    for places in islice(_candidates(given), _MOST_TRIES):
        trial = _try(gm, inputs, outputs, places, BATCH)
        in_front = all(d in (0, None) for d in places)
        if trial is not None and (trial.separate or (found is None and in_front)):
            found = trial
        if found is not None and found.separate:
            break
    sizes = sizes if found is None else found
    return _with_counts(gm, inputs, outputs, given, sizes) if len(given) > 1 else sizes


def fixed_sizes(inputs: tuple[Any, ...], expected: Any) -> FreeSizes:
    """Free sizes for inputs and outputs without a free dimension."""
    return FreeSizes(tuple({} for _ in tensors_in(inputs)), tuple({} for _ in tensors_of(expected)))


def _candidates(given: list[Tensor]) -> Iterator[tuple[int | None, ...]]:
    """Possible batch dimensions of all inputs: for each size of dimension 0, then of 1, dimensions with that size."""
    for leading in (0, 1):
        for size in dict.fromkeys(x.shape[leading] for x in given if x.dim() > leading):
            found = [[d for d in range(x.dim()) if x.shape[d] == size] for x in given]
            places = [sorted(dims, key=lambda d: d != leading) for dims in found]
            for chosen in product(*([*dims, None] for dims in places)):
                if any(d is not None for d in chosen):
                    yield chosen


def _with_counts(
    gm: nn.Module, inputs: tuple[Any, ...], outputs: list[Tensor], given: list[Tensor], sizes: FreeSizes
) -> FreeSizes:
    """Free dimension 0, or else 1, of inputs outside the batch, if their samples are separate."""
    for dim in (0, 1):
        left = [n for n, x in enumerate(given) if not sizes.inputs[n] and x.dim() > 2 * dim]
        for size in dict.fromkeys(given[n].shape[dim] for n in left):
            places = tuple(dim if n in left and x.shape[dim] == size else None for n, x in enumerate(given))
            trial = _try(gm, inputs, outputs, places, f"{BATCH}_{len(sizes.names - {BATCH}) + 1}")
            if trial is not None and trial.separate:
                sizes = merged(sizes, trial)
    return sizes


def merged(sizes: FreeSizes, more: FreeSizes) -> FreeSizes:
    """Both together; if both name a dimension, the second one counts."""
    return replace(
        sizes,
        inputs=tuple({**a, **b} for a, b in zip(sizes.inputs, more.inputs, strict=True)),
        outputs=tuple({**a, **b} for a, b in zip(sizes.outputs, more.outputs, strict=True)),
        tried=sizes.tried | more.tried,
    )


def _try(
    gm: nn.Module, inputs: tuple[Any, ...], outputs: list[Tensor], places: tuple[int | None, ...], name: str
) -> FreeSizes | None:
    """The free sizes if these are the dimensions of one size; None if other sizes fail, or no output changes."""
    size = next(x.shape[d] for x, d in zip(tensors_in(inputs), places, strict=True) if d is not None)
    if not size:
        return None
    order = torch.tensor([1, 0] if size > 2 else [*range(size), 0])
    found = run_or_none(gm, picked(inputs, places, order))
    if found is None or len(found) != len(outputs):
        return None
    moves = [moved_dims(a, b) for a, b in zip(outputs, found, strict=True)]
    if not any(moves) and any(x.dim() for x in outputs):
        return None  # one number for the whole batch, as a loss, has no dimension that could move
    separate = all(_picks(a, b, dims, order, size) for a, b, dims in zip(outputs, found, moves, strict=True))
    return FreeSizes(
        tuple({} if d is None else {d: name} for d in places),
        tuple({d: name for d in dims if a.shape[d] == size} for a, dims in zip(outputs, moves, strict=True)),
        separate,
        {name: len(order)},
    )


def picked(inputs: tuple[Any, ...], places: tuple[int | None, ...], order: Tensor) -> tuple[Any, ...]:
    """Inputs with these indices along one dimension of each tensor; None leaves a tensor unchanged."""
    dims = iter(places)

    def pick(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        dim = next(dims)
        return x.clone() if dim is None else x.index_select(dim, order.to(x.device))

    chosen: tuple[Any, ...] = pytree.tree_map(pick, inputs)
    return chosen


@torch.no_grad()
def run_or_none(gm: nn.Module, inputs: tuple[Any, ...]) -> list[Tensor] | None:
    """The tensors that a graph returns; None if it fails with these inputs, with any exception."""
    try:
        return tensors_of(gm.forward(*inputs))
    except Exception:  # noqa: BLE001 - the question is whether it runs
        return None


def moved_dims(a: Tensor, b: Tensor) -> list[int]:
    """The dimensions with different sizes in two results; none if the results have different numbers of dimensions."""
    return [d for d in range(a.dim()) if a.shape[d] != b.shape[d]] if a.dim() == b.dim() else []


def _picks(expected: Tensor, found: Tensor, dims: list[int], order: Tensor, size: int) -> bool:
    """Whether a result belongs to the picked samples; a result without the dimension must be unchanged."""
    if len(dims) > 1 or expected.dim() != found.dim():
        return False
    wanted = expected
    if dims:
        (dim,) = dims
        if expected.shape[dim] % size:
            return False
        wanted = expected.unflatten(dim, (size, -1)).index_select(dim, order).flatten(dim, dim + 1)
    if wanted.shape != found.shape:
        return False
    if not wanted.is_floating_point():
        return torch.equal(wanted, found)
    finite = wanted[wanted.isfinite()].abs()
    near = _NEAR * (float(finite.max()) if finite.numel() else 1.0)
    return torch.allclose(wanted, found, rtol=0.0, atol=near, equal_nan=True)
