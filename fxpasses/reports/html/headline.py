"""The top of report.html: model and data, alerts, and the most important numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..alerts import alerts
from ..gist import gist_of
from ..measure_text import Measure
from ..numbers import (
    Headline,
    accuracy_of,
    bytes_text,
    condition_text,
    decibel_text,
    headline,
    parity_verdict,
    percent_text,
    ratio_text,
)
from ..wording import agreement_text
from .elements import Markup, element


def page_header(report: Mapping[str, Any]) -> Markup:
    """Header with model, data, target, and the agreement of the artifacts."""
    about = [f"data {report['data']}"] if report["data"] else []
    about += [f"target {report['target']}"] if report["target"] else []
    about += [str(report["environment"]["cpu"])] if report["environment"]["cpu"] else []
    title = element("div", element("h1", str(report["model"])), element("p", " · ".join(about), cls="about"))
    level, words = parity_verdict(report["parity"])
    if report.get("runtime_agreement") is not None:
        level, words = agreement_text(report["runtime_agreement"])
    if level != "none":
        words = f"torch and onnxruntime: {words}"
    return element("header", title, element("span", words, cls=f"badge {level}"))


def alert_box(report: Mapping[str, Any]) -> Markup | None:
    """Box of alerts, above all numbers; None if there are none."""
    found = alerts(report)
    return element("ul", *(element("li", alert) for alert in found), cls="alerts") if found else None


def gist(report: Mapping[str, Any]) -> Markup | None:
    """The report in plain words: gains, losses and next steps; None if the report has only float."""
    found = gist_of(report)
    if found is None:
        return None
    nothing = ("Nothing that was measured.",)
    parts = (
        ("You gain", found.gains or nothing, "good"),
        ("You lose", found.losses or nothing, "fair"),
        ("Do next", found.next_steps, "next"),
    )
    columns = [
        element("div", element("h2", title), element("ul", *(element("li", line) for line in lines)), cls=kind)
        for title, lines, kind in parts
    ]
    return element("section", *columns, cls="gist")


def tiles(report: Mapping[str, Any]) -> Markup | None:
    """Tiles with the headline numbers of the leading quantized variant."""
    lead = headline(report["variants"])
    if lead is None:
        return None
    made = [*_accuracy_tiles(lead), _size_tile(lead), *_speed_tiles(lead)]
    return element("div", *made, cls="tiles")


def _tile(what: str, value: str, more: str = "") -> Markup:
    return element(
        "div",
        element("div", what, cls="what"),
        element("div", value, cls="value"),
        element("div", more, cls="more") if more else None,
        cls="tile",
    )


def _accuracy_tiles(lead: Headline) -> list[Markup]:
    precision, vs = lead.variant["precision"], lead.variant["vs_fp32"]
    images = lead.variant["accuracy"]["images"]
    found = []
    if accuracy_of(lead.variant) is not None:
        measure, change = Measure.of([lead.variant]), lead.accuracy_change
        more = "" if change is None else f"{measure.change_text(change)} against fp32"
        more += f"; {measure.direction}" if measure.direction else ""
        found.append(_tile(f"{measure.name}, {precision}", measure.text(accuracy_of(lead.variant)), more))
    if vs["top1_agreement"] is not None:
        found.append(_tile("agrees with fp32", percent_text(vs["top1_agreement"]), f"same class, {images} images"))
    if vs["sqnr_db"] is not None:
        found.append(_tile("SQNR of the logits", decibel_text(vs["sqnr_db"]), "signal to quantization noise"))
    return found


def _size_tile(lead: Headline) -> Markup | None:
    size = lead.variant["size_bytes"]
    if size is None:
        return None
    if lead.size_ratio is None or lead.reference is None:
        return _tile("size", bytes_text(size))
    return _tile(
        "smaller", ratio_text(lead.size_ratio), f"{bytes_text(lead.reference['size_bytes'])} → {bytes_text(size)}"
    )


def _speed_tiles(lead: Headline) -> list[Markup]:
    entry = lead.variant["latency"][0] if lead.variant["latency"] else None
    condition = condition_text(entry) if entry else ""
    return [
        _tile(runtime, ratio_text(ratio), f"as fast as fp32, {condition}") for runtime, ratio in lead.speedups.items()
    ]
