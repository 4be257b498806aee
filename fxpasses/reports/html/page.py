"""``report.html``: report.json for people, in one file without external resources.

It is made from the report alone, so it can be made again from a report.json; values that were not measured are left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fxpasses.export.files import write_text_atomic

from .elements import PAGE_RULES, SCRIPT, Markup, element, joined
from .headline import alert_box, gist, page_header, tiles
from .made import account, audit, environment, layers, reproduce
from .measured import latency, parity, size_and_accuracy, tradeoff
from .outputs import outputs
from .placement import placement
from .pruning import pruning
from .repairs import repairs
from .runtimes import runtimes
from .style import STYLE
from .training import training

_SECTIONS: tuple[Callable[[Mapping[str, Any]], Markup | None], ...] = (
    tradeoff,
    size_and_accuracy,
    outputs,
    pruning,
    repairs,
    placement,
    training,
    latency,
    parity,
    runtimes,
    layers,
    audit,
    account,
    environment,
    reproduce,
)


def render_html(report: Mapping[str, Any]) -> str:
    """Make the page of a report."""
    head = joined(
        (
            PAGE_RULES,
            element("title", f"{report['model']} – fxpasses report"),
            element("style", Markup(STYLE)),
        )
    )
    sections = [section(report) for section in _SECTIONS]
    body = element(
        "main", page_header(report), alert_box(report), gist(report), tiles(report), *sections, _footer(report)
    )
    return f'<!DOCTYPE html>\n<html lang="en">{element("head", head)}{element("body", body, SCRIPT)}</html>\n'


def write_html(report: Mapping[str, Any], path: str | Path) -> None:
    """Write report.html; the file is complete or not there. Raises InputError if it cannot be written."""
    write_text_atomic(Path(path), render_html(report))


def _footer(report: Mapping[str, Any]) -> Markup:
    version = (report["environment"].get("versions") or {}).get("fxpasses")
    made = [f"fxpasses {version or ''}".strip()] + ([str(report["created"])] if report.get("created") else [])
    return element("footer", " · ".join(made) + " · all numbers are in report.json")
