"""``diff``: the changes by fusing, pruning and quantizing between two models, operator by operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from .changes import Kind, Row, rows_of
from .matching import are_related, matched
from .read import read_steps
from .steps import ModelSteps, Step


@dataclass(frozen=True)
class Difference:
    """Two models, and every operator of both.

    Attributes:
        related: whether one was made from the other, as far as their layers tell; if not, there are no rows.
    """

    a: ModelSteps
    b: ModelSteps
    related: bool
    rows: Sequence[Row]

    @property
    def changed(self) -> list[Row]:
        """The rows with a change."""
        return [row for row in self.rows if row.changes]

    @property
    def is_empty(self) -> bool:
        """Whether both are one model."""
        return self.related and not self.changed

    def counts(self) -> dict[Kind, Counter[str]]:
        """The number of changed operators, by kind of change and name of operator."""
        found: dict[Kind, Counter[str]] = {}
        for row in self.rows:
            for kind in {change.kind for change in row.changes}:
                found.setdefault(kind, Counter())[row.step.operator] += 1
        return {kind: found[kind] for kind in Kind if kind in found}

    def folded_before(self) -> list[str]:
        """Names of nodes that were folded into layers of A before, and so are no longer steps of A."""
        there = {step.name for step in self.a.steps}
        return [name for step in self.a.steps for name in step.folded if name not in there]

    def __str__(self) -> str:
        from .text import difference_text

        return difference_text(self)

    def to_json(self) -> dict[str, Any]:
        """The document that ``fxpasses diff --json`` writes."""
        return {
            "a": _model_json(self.a),
            "b": _model_json(self.b),
            "related": self.related,
            "equal": self.is_empty,
            "counts": {kind.value: dict(counter) for kind, counter in self.counts().items()},
            "folded_before": self.folded_before(),
            "nodes": [_row_json(row) for row in self.changed],
        }


def diff(a: str | Path | nn.Module, b: str | Path | nn.Module, *, inputs: Any = None) -> Difference:
    """Compare two models and return the changes from ``a`` to ``b``.

    Args:
        a, b: ``.onnx`` and ``.pt2`` files, graphs in stage FLOAT, QUANTIZED or LOWERED, or modules.
        inputs: example inputs, for a module that has not been captured.

    Raises:
        InputError: a file cannot be read, or is of another kind, or a module comes without inputs.
        GraphError: a graph is in another stage, or a module cannot be captured.
    """
    first, second = read_steps(a, inputs), read_steps(b, inputs)
    if not are_related(first.steps, second.steps):
        return Difference(first, second, False, ())
    return Difference(first, second, True, rows_of(matched(first.steps, second.steps)))


def _model_json(model: ModelSteps) -> dict[str, Any]:
    operators = Counter(step.operator for step in model.steps)
    return {"name": model.name, "kind": model.kind, "operators": dict(operators)}


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "a": None if row.a is None else _step_json(row.a),
        "b": None if row.b is None else _step_json(row.b),
        "changes": [{"kind": change.kind.value, "what": change.words} for change in row.changes],
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "module": step.module,
        "operator": step.operator,
        "precision": step.precision,
        "grid": step.grid or None,
        "shape": None if step.shape is None else list(step.shape),
        "weight": None if step.weight is None else str(step.weight),
    }
