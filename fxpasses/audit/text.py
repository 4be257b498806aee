"""An audit as text for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from .audit_file import AuditReport, Disagreement, FloatOperator
from .observed import Leftover

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_NAMED, _ROWS = 3, 12
"""Number of operators named per group, and number of groups listed; the JSON report has all."""


def audit_text(report: AuditReport) -> RenderableType:
    """The report, for a rich console."""
    from rich.console import Group
    from rich.text import Text

    target = f", target {report.target}" if report.target else ""
    parts: list[RenderableType] = [
        Text(report.path, style="bold"),
        Text(f"{report.kind}, opset {report.opset}{target}; onnxruntime {report.onnxruntime}, CPU", style="dim"),
        Text(("✓ " if report.ok else "✗ ") + report.summary, style="green" if report.ok else "red"),
    ]
    if report.int8_ops:
        parts.append(_table("on integers", ("operator", "times"), ((op, str(n)) for op, n in report.int8_ops.items())))
    for title, floats in (("in float, multiplying", report.float_heavy), ("in float, other", report.float_light)):
        if floats and report.kind != "float":
            parts.append(_table(title, ("operator", "times", "why", "which"), _rows(floats)))
    if report.qdq_between_int8:
        parts.append(_table("Q/DQ between integers", ("left", "times", "why", "which"), _rows(report.qdq_between_int8)))
    for title, found in (
        ("predicted to be fused, but was not", report.predicted_but_not_fused),
        ("fused, though not predicted", report.fused_but_not_predicted),
    ):
        if found:
            parts.append(_table(title, ("operator", "predicted", "found"), _disagreement_rows(found)))
    parts += [Text(f"wrong: {text}", style="red") for text in report.wrong_numbers]
    parts += [Text(f"note: {text}", style="yellow") for text in report.warnings]
    if report.session_options:
        entries = " and ".join(f'{key} = "{value}"' for key, value in report.session_options.items())
        text = f"to open it yourself on x86 CPUs without VNNI, set the session option {entries}, or sums saturate"
        parts.append(Text(f"note: {text}", style="yellow"))
    return Group(*parts)


def _rows(found: Iterable[FloatOperator | Leftover]) -> Iterator[tuple[str, ...]]:
    """One row per kind of operator and reason, most frequent first; names in a reason are ignored."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in found:
        groups.setdefault((one.op, re.sub(r" '[^']*'", "", one.reason)), []).append(one.name)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    for (op, reason), names in ordered[:_ROWS]:
        yield op, str(len(names)), reason, _some(names)
    rest = [name for _, names in ordered[_ROWS:] for name in names]
    if rest:
        yield "…", str(len(rest)), f"{len(ordered) - _ROWS} more reasons; the JSON report has all", ""


def _disagreement_rows(found: Iterable[Disagreement]) -> Iterator[tuple[str, ...]]:
    return ((f"{one.op} '{one.name}'", one.predicted, one.found) for one in found)


def _some(names: Iterable[str]) -> str:
    named = [name for name in names if name]
    more = len(named) - _NAMED
    return ", ".join(named[:_NAMED]) + (f", … {more} more" if more > 0 else "")


def _table(title: str, columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right" if column == "times" else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
