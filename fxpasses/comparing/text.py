"""A difference as text: the number of operators for each kind of change, then each changed operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .changes import Kind, Row, result_text
from .steps import ModelSteps, Step

if TYPE_CHECKING:
    from .difference import Difference

TITLES = {
    Kind.FOLDED: "folded into the layer in front",
    Kind.SATURATION: "now the saturation of integers",
    Kind.INT8: "computed on integers",
    Kind.MOVED: "moved as integers",
    Kind.INTO_FLOAT: "computed in float again",
    Kind.PRECISION: "in another precision",
    Kind.GRID: "on another scale",
    Kind.OPERATOR: "another operator",
    Kind.CHANNELS: "other numbers of channels",
    Kind.PADDED: "padded with channels of zeros",
    Kind.ZEROS: "other shares of zeros",
    Kind.WEIGHTS: "other weights",
    Kind.REMOVED: "gone",
    Kind.NEW: "new",
}
"""Title of each kind of change in the summary."""
_MOST_NAMED = 3


def difference_text(found: Difference) -> str:
    """The whole difference as text, without a newline at the end."""
    lines = [f"A  {_model(found.a)}", f"B  {_model(found.b)}", "", *summary_lines(found)]
    if found.related and not found.is_empty:
        lines += ["", *_table([_cells(row) for row in found.changed])]
    return "\n".join(lines)


def summary_lines(found: Difference) -> list[str]:
    """A summary of the changes, with a line for each kind of change."""
    if not found.related:
        return [
            "These are two unrelated models: fewer than half of the layers of the smaller one are in the other.",
            f"A has {_operators(found.a)}",
            f"B has {_operators(found.b)}",
        ]
    if found.is_empty:
        return ["No difference: the same operators, weights, scales and channels."]
    counts = found.counts()
    width = max(len(TITLES[kind]) for kind in counts)
    lines = [f"{TITLES[kind]:<{width}}  {counted(counter)}" for kind, counter in counts.items()]
    same = len(found.rows) - len(found.changed)
    lines.append(f"{'unchanged':<{width}}  {same} operator{'' if same == 1 else 's'}")
    before = found.folded_before()
    if before and not any(Kind.FOLDED in {c.kind for c in row.changes} for row in found.rows):
        named = ", ".join(before[:_MOST_NAMED]) + (", ..." if len(before) > _MOST_NAMED else "")
        lines.append(f"{len(before)} nodes had been folded into layers of A when it was made: {named}")
    return lines


def counted(counter: Mapping[str, int]) -> str:
    """Counts of operators as text: ``20 conv2d, 8 add``."""
    return ", ".join(f"{number} {name}" for name, number in Counter(counter).most_common())


def step_text(step: Step | None) -> str:
    """A step as text, ``conv2d float32 64x3x7x7``; empty for None."""
    if step is None:
        return ""
    weight = f", {step.weight}" if step.weight is not None else ""
    return f"{result_text(step)}{weight}"


def _model(model: ModelSteps) -> str:
    return f"{model.name}  ({model.kind}, {len(model.steps)} operators)"


def _operators(model: ModelSteps) -> str:
    return counted(Counter(step.operator for step in model.steps))


def _cells(row: Row) -> tuple[str, str, str]:
    return row.step.title, row.step.operator, "; ".join(change.words for change in row.changes)


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
    return [f"{name:<{first}}  {operator:<{second}}  {words}" for name, operator, words in rows]
