"""Sections of report.html on how and where the model was made. A section is None if the report has no data for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..gist import why_not_faster
from ..numbers import UNKNOWN, count_text, decibel_text, kernels_text, percent_text
from .elements import Markup, element, facts, folded, row, section, table

Report = Mapping[str, Any]

LAYER_COLUMNS = ("operator", "kind", "precision", "output", "weights", "scale", "zero point", "SQNR", "integers")

_MOST_SHOWN = 8
"""Largest number of operators in float, which compute little, that are listed unasked: transformers have hundreds."""
_HEIGHT = 18
_ABOUT_LAYERS = (
    "SQNR: of the operator's integers against float, up to a factor for each channel, on a few images. Integers: how "
    "often each part of the grid is used, from its lowest integer to its highest, drawn by square roots."
)


def layers(report: Report) -> Markup | None:
    """Section on the operators in int8 and in float, with the reasons."""
    found = report.get("layers")
    if not found:
        return None
    floats = [layer for layer in found if layer["precision"] == "float"]
    weights = sum(layer["weights"] for layer in found)
    quantized = sum(layer["weights"] for layer in found if layer["precision"] != "float")
    lowered = next((layer["precision"] for layer in found if layer["precision"] != "float"), "int8")
    share = f", with {percent_text(100 * quantized / weights)} of the weights" if weights else ""
    lead = f"{len(found) - len(floats)} of {len(found)} operators run in {lowered}{share}."
    reasons = Counter((layer["operator"], layer["why"]) for layer in floats)
    listed = element(
        "ul", *(element("li", f"{count} × {operator}: {why}") for (operator, why), count in reasons.most_common())
    )
    rows = [line for layer in found for line in _layer_rows(layer)]
    is_measured = any(layer.get("histogram") for layer in found)
    about = element("p", _ABOUT_LAYERS, cls="note") if is_measured else None
    return section(
        "Operators",
        element("p", lead + (" In float, and why:" if floats else "")),
        listed if floats else None,
        folded(f"all {len(found)} operators", table(LAYER_COLUMNS, rows, left=(0, 1, 2)), about),
    )


def _layer_rows(layer: Report) -> list[Markup]:
    """One row for a layer, and one below it for the reason, if there is one."""
    shape = "×".join(map(str, layer["shape"])) if layer["shape"] else UNKNOWN
    has_grid = layer["scale"] is not None
    first = row(
        layer["module"] or layer["node"],
        layer["operator"],
        element("span", layer["precision"], cls="chip fair" if layer["precision"] == "float" else "chip good"),
        shape,
        count_text(layer["weights"]) if layer["weights"] else "",
        f"{layer['scale']:#.3g}" if has_grid else "",
        str(layer["zero_point"]) if has_grid else "",
        decibel_text(layer["sqnr_db"]) if layer.get("sqnr_db") is not None else "",
        _histogram(layer.get("histogram")),
        left=(0, 1, 2),
        cls="open" if layer["why"] else "",
    )
    if not layer["why"]:
        return [first]
    return [first, element("tr", element("td", layer["why"], colspan=str(len(LAYER_COLUMNS))), cls="why")]


def _histogram(counts: Sequence[int] | None) -> Markup:
    """A small plot with no axes: the histogram of a tensor's integers over its grid, low to high."""
    most = max(counts or (), default=0)
    if not counts or not most:
        return Markup("")
    heights = (_HEIGHT * math.sqrt(count / most) for count in counts)
    path = "".join(f"M{2 * i},{_HEIGHT}v-{height:.1f}h2v{height:.1f}z" for i, height in enumerate(heights))
    box = f"0 0 {2 * len(counts)} {_HEIGHT}"
    return element("svg", element("path", d=path), cls="spark", viewBox=box, preserveAspectRatio="none", role="img")


def audit(report: Report) -> Markup | None:
    """Section on the operators that onnxruntime fuses, with the reason why each other keeps int8 from being faster."""
    found = report.get("audit")
    if not found:
        return None
    counts = ", ".join(f"{count} × {op}" for op, count in (found.get("int8_ops") or {}).items())
    heavy, light = found.get("float_heavy", ()), found.get("float_light", ())
    entries = [
        ("verdict", element("span", found["summary"], cls=f"chip {'good' if found['ok'] else 'fair'}")),
        ("on integers", counts),
        ("warnings", "; ".join(found.get("warnings", ()))),
    ]
    rows = [_float_row(operator, "much") for operator in heavy]
    others = [_float_row(operator, "little") for operator in light]
    if len(others) <= _MOST_SHOWN:
        rows, others = [*rows, *others], []
    reasons = why_not_faster(report)
    listed = element("ul", *(element("li", reason) for reason in reasons)) if reasons else None
    shown = _float_table(rows) if rows else None
    closed = folded(f"{len(others)} more in float, which compute little", _float_table(others)) if others else None
    title = element("h3", "Why int8 is not faster here") if reasons else None
    return section("What onnxruntime fuses", facts(entries), title, listed, shown, closed)


def _float_row(operator: Mapping[str, Any], much: str) -> Markup:
    return row(operator["name"], operator["op"], much, operator["reason"], left=(0, 1, 2), wrap=(3,))


def _float_table(rows: Sequence[Markup]) -> Markup:
    return table(("operator in float", "", "it computes", "why it is in float"), rows, left=(0, 1, 2, 3))


def _macs_text(report: Report) -> str:
    """Text of the count of multiply-accumulates, and of that of ptflops."""
    found = report.get("macs") or {}
    if found.get("difference_percent") is None:
        return ""
    counts = f"{count_text(found['macs'])} by the shapes of the graph, {count_text(found['ptflops'])} by ptflops"
    return f"{counts} ({found['difference_percent']:+.1f} %; it counts biases, too)"


def account(report: Report) -> Markup | None:
    """Section on how the int8 graph was made: recipe, passes, time."""
    recipe, passes = report.get("recipe"), report.get("passes") or []
    details = {**(report.get("model_details") or {}), **(report.get("data_details") or {})}
    details.pop("spec", None)  # it is in the page's head
    spelled = {key: value for key, value in (recipe or {}).items() if value not in (None, (), [])}
    entries = [
        ("recipe", ", ".join(f"{key} {_plain(value)}" for key, value in spelled.items())),
        *((key.replace("_", " "), _plain(value)) for key, value in details.items()),
        ("took", ", ".join(f"{step} {seconds:.1f} s" for step, seconds in (report.get("durations") or {}).items())),
        ("multiply-accumulates", _macs_text(report)),
        ("parameters' hash", (report.get("qparams_sha256") or "")[:16]),
    ]
    rows = [_pass_row(p) for p in passes if p["changed"] or p["skipped"]]
    log = folded("what each pass did", table(("pass", "changed", "skipped", ""), rows, left=(0, 3))) if rows else None
    warnings = element("ul", *(element("li", w) for w in report["warnings"])) if report.get("warnings") else None
    if not (log or warnings or any(value for _, value in entries)):
        return None
    return section("How it was made", facts(entries), log, warnings)


def _pass_row(found: Report) -> Markup:
    changed, skipped = found["changed"], found["skipped"]
    examples = [f"{c['node']}: {c['what']}" for c in changed[:2]] + [f"{s['node']}: {s['why']}" for s in skipped[:1]]
    more = "; …" if len(changed) + len(skipped) > len(examples) else ""
    return row(found["name"], str(len(changed)), str(len(skipped)), "; ".join(examples) + more, wrap=(3,))


def environment(report: Report) -> Markup:
    """Section on the machine and the software."""
    found = report["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in (found["versions"] or {}).items() if version)
    return section(
        "Environment",
        facts(
            [
                ("CPU", found["cpu"]),
                ("instructions", ", ".join(found["flags"] or ())),
                ("int8 kernels", kernels_text(report) or None),
                ("threads", str(found["threads"])),
                ("memory", found["ram"]),
                ("GPU", found["gpu"] or "none"),
                ("system", found.get("os")),
                ("versions", versions),
            ]
        ),
    )


def reproduce(report: Report) -> Markup | None:
    """Section with the command that made the report."""
    command = report.get("command")
    return section("Make it again", element("pre", command)) if command else None


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ("×" if all(isinstance(v, int) for v in value) else "; ").join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return "" if value is None else str(value)
