"""The section of report.html on how far both runtimes agree where they do not compute on integers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .html_elements import Markup, element, facts, section
from .report_numbers import decibel_text, percent_text

Report = Mapping[str, Any]


def runtimes(report: Report) -> Markup | None:
    """Agreement of the logits of torch and onnxruntime; None where it was not measured."""
    found = report.get("runtime_agreement")
    if found is None:
        return None
    entries = [
        ("images", str(found["images"])),
        ("top-1 agreement", percent_text(found["top1_agreement"])),
        ("SQNR of the logits", "all equal" if found["sqnr_db"] is None else decibel_text(found["sqnr_db"])),
        ("largest difference", f"{found['max_abs_difference']:.3g}, of logits up to {found['max_abs_logit']:.3g}"),
    ]
    note = (
        "SQNR: energy of torch's logits over that of the difference to onnxruntime's. Both compute in floating point."
    )
    return section("Torch and onnxruntime", facts(entries), element("p", note, cls="note"))


def agreement_text(found: Report) -> tuple[str, str]:
    """(``"good"``, ``"fair"`` or ``"bad"``; a few words) on the same."""
    share = found["top1_agreement"]
    apart = "equal logits" if found["sqnr_db"] is None else f"logits {decibel_text(found['sqnr_db'])} apart"
    if share is None:
        return "fair", apart
    level = "good" if share == _ALL else "fair" if share >= _NEARLY_ALL else "bad"
    return level, f"the same class on {percent_text(share)} of {found['images']} images, {apart}"


_ALL, _NEARLY_ALL = 100.0, 98.0
