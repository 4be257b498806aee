"""Matching of the steps of two models.

Layers are matched by their path, call by call. Steps between two matched layers are matched in order, by their
operator. If no path is shared, as in files of exporters that drop paths, layers are matched by operator and size.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher

from .steps import Step

Pair = tuple[Step | None, Step | None]

_ALIKE = {
    **dict.fromkeys(("flatten", "reshape", "squeeze", "unsqueeze"), "reshape"),
    **dict.fromkeys(("mean", "adaptive_avg_pool2d"), "average"),
    **dict.fromkeys(("permute", "transpose"), "permute"),
}
"""Common name of operators that stand for one another in different runtimes."""
_ENOUGH = 0.5
"""Share of the smaller model's layers that must have a match for two models to count as related."""


def are_related(a: Sequence[Step], b: Sequence[Step]) -> bool:
    """Whether, by their layers, one model was probably made from the other, or both from a third."""
    layers_a, layers_b = [s for s in a if s.is_layer], [s for s in b if s.is_layer]
    if not layers_a or not layers_b:
        operators = SequenceMatcher(None, [s.operator for s in a], [s.operator for s in b], autojunk=False)
        return operators.ratio() > _ENOUGH
    known = len(_anchors(layers_a, layers_b))
    return known >= _ENOUGH * min(len(layers_a), len(layers_b))


def matched(a: Sequence[Step], b: Sequence[Step]) -> list[Pair]:
    """Pairs of matching steps, in the order of both models; a step without a match is paired with None."""
    anchors = _anchors(a, b)
    kept = _in_order(anchors)
    pairs: list[Pair] = []
    partners = {id(a[i]): b[j] for i, j in anchors}
    taken = {id(b[j]) for _, j in anchors}
    at_a = at_b = 0
    for i, j in [*kept, (len(a), len(b))]:
        free_a = list(a[at_a:i])
        free_b = [s for s in b[at_b:j] if id(s) not in taken]
        pairs += _between(free_a, free_b, partners)
        if i < len(a):
            pairs.append((a[i], b[j]))
        at_a, at_b = i + 1, j + 1
    return pairs


def _anchors(a: Sequence[Step], b: Sequence[Step]) -> list[tuple[int, int]]:
    """Index pairs of matching layers, by path or else by size, in the order of the first model."""
    by_path = _same(a, b, _paths(a), _paths(b))
    return by_path or _by_size(a, b)


def _paths(steps: Sequence[Step]) -> dict[Hashable, int]:
    """The index of each call of each layer."""
    found: dict[Hashable, int] = {}
    for i, step in enumerate(steps):
        call = 0
        while step.module and step.weight is not None and (key := (step.module, _kernel(step), call)) in found:
            call += 1
        if step.module and step.weight is not None:
            found[key] = i
    return found


def _kernel(step: Step) -> tuple[int, ...]:
    """The number of dimensions of a layer's weight, and its kernel size; pruning changes neither."""
    shape = step.weight.shape if step.weight is not None else ()
    return (len(shape), *shape[2:])


def _same(
    a: Sequence[Step], b: Sequence[Step], keys_a: dict[Hashable, int], keys_b: dict[Hashable, int]
) -> list[tuple[int, int]]:
    shared = ((i, keys_b[key]) for key, i in keys_a.items() if key in keys_b)
    return sorted(pair for pair in shared if a[pair[0]].is_layer or b[pair[1]].is_layer or _is_norm(a, b, pair))


def _is_norm(a: Sequence[Step], b: Sequence[Step], pair: tuple[int, int]) -> bool:
    return a[pair[0]].operator == b[pair[1]].operator


def _by_size(a: Sequence[Step], b: Sequence[Step]) -> list[tuple[int, int]]:
    """Index pairs of layers matched in order, by operator and shape of the weight."""
    found: list[tuple[int, int]] = []
    indices_a = [i for i, s in enumerate(a) if s.is_layer]
    indices_b = [j for j, s in enumerate(b) if s.is_layer]
    keys_a, keys_b = [_size(a[i]) for i in indices_a], [_size(b[j]) for j in indices_b]
    for block in SequenceMatcher(None, keys_a, keys_b, autojunk=False).get_matching_blocks():
        found += [(indices_a[block.a + k], indices_b[block.b + k]) for k in range(block.size)]
    return found


def _size(step: Step) -> tuple[str, tuple[int, ...]]:
    return step.operator, step.weight.shape if step.weight is not None else ()


def _in_order(anchors: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence of the pairs that is in the same order in both models."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for index, (_, j) in enumerate(anchors):
        place = bisect_left(ends, j)
        before.append(last[place - 1] if place else -1)
        if place == len(ends):
            ends.append(j)
            last.append(index)
        else:
            ends[place], last[place] = j, index
    found, index = [], last[-1] if last else -1
    while index >= 0:
        found.append(anchors[index])
        index = before[index]
    return found[::-1]


def _between(a: Sequence[Step], b: Sequence[Step], partners: dict[int, Step]) -> list[Pair]:
    """Pairs of the steps between two matched layers, by operator, in order; layers matched out of order keep theirs."""
    free = [step for step in a if id(step) not in partners]
    names_a, names_b = ([(_alike(s), _kernel(s)) for s in steps] for steps in (free, b))
    of_a: dict[int, Step] = {}
    blocks = SequenceMatcher(None, names_a, names_b, autojunk=False).get_matching_blocks()
    for block in blocks:
        of_a.update({id(free[block.a + k]): b[block.b + k] for k in range(block.size)})
    pairs: list[Pair] = []
    waiting = list(b)
    for step in a:
        other = partners.get(id(step)) or of_a.get(id(step))
        if id(step) in of_a:
            while waiting and waiting[0] is not other:
                pairs.append((None, waiting.pop(0)))
            waiting.pop(0)
        pairs.append((step, other))
    return [*pairs, *((None, step) for step in waiting)]


def are_spelled_alike(a: Step, b: Step) -> bool:
    """Whether two operators are the same one under the names of different runtimes."""
    return _alike(a) == _alike(b)


def _alike(step: Step) -> str:
    return _ALIKE.get(step.operator, step.operator)
