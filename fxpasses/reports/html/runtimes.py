"""The section of report.html on the agreement of runtimes that do not compute on integers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..numbers import decibel_text, percent_text
from .elements import Markup, element, facts, section


def runtimes(report: Mapping[str, Any]) -> Markup | None:
    """Section on the agreement of the logits of torch and onnxruntime; None if it was not measured."""
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
