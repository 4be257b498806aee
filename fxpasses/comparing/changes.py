"""Changes between a step of one model and its match in the other: their kinds, and each as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import torch

from .matching import Pair, are_spelled_alike
from .steps import ACTIVATIONS, NORMS, Step, Weight


class Kind(Enum):
    """A change; the value is its name in JSON."""

    FOLDED = "folded"
    """The step was merged into the layer in front, numbers included."""
    SATURATION = "saturation"
    """The step was removed: the integers of the step in front end where it would clamp."""
    INT8 = "int8"
    """The step computes on integers, and computed in float before."""
    MOVED = "moved"
    """The step moves integers, on the scale of its input, and moved floats before."""
    INTO_FLOAT = "into_float"
    """The step computes in float, and computed on integers before."""
    PRECISION = "precision"
    """The step or its weight has another type: a float or an integer of another width."""
    GRID = "grid"
    """The result has another scale or zero point."""
    OPERATOR = "operator"
    """The step is another operator in the same place."""
    CHANNELS = "channels"
    """The weight has another shape."""
    PADDED = "padded"
    """The weight has input channels of zeros in one of the models; they do not change the result."""
    ZEROS = "zeros"
    """The weight has more zeros, or fewer."""
    WEIGHTS = "weights"
    """The weight has other values, of the same shape and type."""
    REMOVED = "removed"
    """The step was removed, and was neither folded nor replaced by a saturation."""
    NEW = "new"
    """The step is in the second model only."""


@dataclass(frozen=True)
class Change:
    """One change of one step."""

    kind: Kind
    words: str


@dataclass(frozen=True)
class Row:
    """One step of A, of B, or of both, and its changes."""

    a: Step | None
    b: Step | None
    changes: tuple[Change, ...]

    @property
    def step(self) -> Step:
        """The step of A, or of B if A has none."""
        found = self.a or self.b
        assert found is not None
        return found


_ZEROS_WORTH_TELLING = 0.01


def rows_of(pairs: Sequence[Pair]) -> list[Row]:
    """A row for each pair of steps, with its changes."""
    partners = {a.name: b for a, b in pairs if a is not None and b is not None}
    steps = {a.name: a for a, _ in pairs if a is not None}
    folds = {
        a.name: layer for a, b in pairs if a is not None and b is None and (layer := _layer_of(a, steps, partners))
    }
    took = set(folds.values())
    rows = []
    for a, b in pairs:
        if a is not None and b is not None:
            rows.append(Row(a, b, tuple(_between(a, b, a.name in took))))
        elif a is not None:
            rows.append(Row(a, b, (_gone(a, folds.get(a.name), steps, partners),)))
        elif b is not None:
            rows.append(Row(a, b, (Change(Kind.NEW, _what_is_new(b)),)))
    return rows


def _layer_of(step: Step, steps: Mapping[str, Step], partners: Mapping[str, Step]) -> str | None:
    """The layer that a removed step was folded into: by its notes, or, for a BatchNorm, the layer in front of it."""
    source = step
    while source.inputs and source.inputs[0] in steps:
        source = steps[source.inputs[0]]
        other = partners.get(source.name)
        if other is not None:
            noted = step.name in other.folded
            return source.name if noted or (step.operator in NORMS and other.is_layer) else None
        if source.operator not in NORMS:
            return None
    return None


def _gone(step: Step, layer: str | None, steps: Mapping[str, Step], partners: Mapping[str, Step]) -> Change:
    if layer is not None:
        return Change(Kind.FOLDED, f"folded into {steps[layer].title}")
    in_front = _last_left(step, steps, partners)
    if step.operator in ACTIVATIONS and in_front is not None and partners[in_front.name].grid:
        return Change(Kind.SATURATION, f"is the saturation of {in_front.title}'s integers")
    return Change(Kind.REMOVED, "is gone")


def _last_left(step: Step, steps: Mapping[str, Step], partners: Mapping[str, Step]) -> Step | None:
    """The nearest step in front of a removed step that both models have."""
    while step.inputs and step.inputs[0] in steps:
        step = steps[step.inputs[0]]
        if step.name in partners:
            return step
    return None


def _what_is_new(step: Step) -> str:
    if step.operator == "quantize":
        return f"floats become {step.precision} {step.grid}"
    return f"new, gives {result_text(step)}"


def _between(a: Step, b: Step, took_in: bool) -> list[Change]:
    found = []
    if a.operator != b.operator and not are_spelled_alike(a, b):
        found.append(Change(Kind.OPERATOR, f"{a.operator} became {b.operator}"))
    found += _of_precision(a, b)
    if a.weight is not None and b.weight is not None:
        found += _of_weights(a.weight, b.weight, took_in)
    if any(change.kind is Kind.INT8 for change in found):  # which says it
        found = [change for change in found if change.kind is not Kind.PRECISION]
    return found


def _of_precision(a: Step, b: Step) -> list[Change]:
    if a.is_float and b.on_integers:
        weights = f", weights {b.weight.dtype}" if a.weight is not None and b.weight is not None else ""
        words = f"{a.precision} -> {result_text(b)}{weights}"
        return [Change(Kind.MOVED, words) if b.moves else Change(Kind.INT8, words)]
    if a.on_integers and b.is_float:
        return [Change(Kind.INTO_FLOAT, f"{result_text(a)} -> {b.precision}")]
    if a.precision != b.precision:
        return [Change(Kind.PRECISION, f"{result_text(a)} -> {result_text(b)}")]
    return [Change(Kind.GRID, f"{a.grid} -> {b.grid}")] if a.grid and b.grid and a.grid != b.grid else []


def _of_weights(a: Weight, b: Weight, took_in: bool) -> list[Change]:
    if a.shape != b.shape:
        kind = Kind.PADDED if _is_padded(a, b) or _is_padded(b, a) else Kind.CHANNELS
        zeros = " (zeros)" if kind is Kind.PADDED else ""
        return [Change(kind, _sizes(a.shape, b.shape) + zeros)]
    found = []
    if abs(a.zeros - b.zeros) > _ZEROS_WORTH_TELLING and a.dtype == b.dtype:
        found.append(Change(Kind.ZEROS, f"{100 * a.zeros:.0f} % -> {100 * b.zeros:.0f} % of the weights are zero"))
    elif a.dtype == b.dtype and not took_in and not torch.equal(a.values, b.values):
        found.append(Change(Kind.WEIGHTS, "other weights"))
    elif a.dtype != b.dtype:
        found.append(Change(Kind.PRECISION, f"weights {a.dtype} -> {b.dtype}"))
    return found


def _is_padded(a: Weight, b: Weight) -> bool:
    """Whether ``b`` has more input channels than ``a``, and those are all zero."""
    if len(a.shape) != len(b.shape) or len(a.shape) < 2 or (a.shape[0], *a.shape[2:]) != (b.shape[0], *b.shape[2:]):
        return False
    return b.shape[1] > a.shape[1] and not bool(b.values[:, a.shape[1] :].any())


def _sizes(a: Sequence[int], b: Sequence[int]) -> str:
    """``64 -> 48 output channels, 3 -> 4 input channels``."""
    names = ("output channels", "input channels")
    parts = [f"{x} -> {y} {names[d]}" for d, (x, y) in enumerate(zip(a[:2], b[:2], strict=False)) if x != y]
    if len(a) != len(b) or a[2:] != b[2:]:
        parts.append(f"weight {'x'.join(map(str, a))} -> {'x'.join(map(str, b))}")
    return ", ".join(parts)


def result_text(step: Step) -> str:
    """Type and grid of a step's result, ``uint8 0.0066 @ 0``; floats from integer sums are marked as such."""
    if step.grid:
        return f"{step.precision} {step.grid}"
    return f"{step.precision} of integer sums" if step.on_integers and step.weight is not None else step.precision
