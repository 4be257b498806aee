"""The plots: well-formed SVG in the page's colours, with every variant and number in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from stub_runners import latency_entry, sample_variant

from fxpasses.reports.html.measured import tradeoff
from fxpasses.reports.html.plots import latency_plot, size_plot
from fxpasses.reports.html.tradeoff_plot import points_of, tradeoff_plot
from fxpasses.reports.measure_text import Measure

NAMESPACES = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
VARIANTS = [sample_variant(r, p) for r in ("torch", "onnxruntime") for p in ("fp32", "int8")]


def texts(svg: str | None) -> list[str]:
    """All texts of a plot, after checking its form and colours."""
    assert svg is not None
    assert set(re.findall(r"#[0-9a-fA-F]{6}\b", svg)) <= {"#ffffff"}, "a colour that does not follow the theme"
    assert "DejaVu" not in svg
    root = ET.fromstring(svg.replace("<svg ", NAMESPACES, 1))
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    links = set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', svg))
    assert {link for pair in links for link in pair if link} <= ids
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_latency_names_every_variant_and_its_median() -> None:
    shown = texts(latency_plot(VARIANTS))
    assert {v["name"] for v in VARIANTS} <= set(shown)
    assert shown.count("2.50") >= 2
    assert shown.count("1.00") >= 2
    assert "batch 1, 1 thread" in shown


def test_each_condition_has_a_panel_and_a_variant_may_lack_one() -> None:
    more = {"latency": [latency_entry(2.5), latency_entry(9.0, batch=8), latency_entry(3.0, threads=2)]}
    shown = texts(latency_plot([VARIANTS[0] | more, VARIANTS[1]]))
    assert {"batch 1, 1 thread", "batch 8, 1 thread", "batch 1, 2 threads"} <= set(shown)


def test_no_latency_no_plot() -> None:
    assert latency_plot([sample_variant("torch", "int8", latency=[])]) is None


def test_size_and_accuracy() -> None:
    shown = texts(size_plot(VARIANTS))
    assert {"1.20 MB", "300 kB", "91.5 %", "91.2 %"} <= set(shown)


def test_unknown_sizes_and_accuracies_are_left_out() -> None:
    unknown = {"size_bytes": None, "accuracy": {"top1": None, "images": 0}}
    shown = texts(size_plot([VARIANTS[0], VARIANTS[1] | unknown]))
    assert "91.5 %" in shown
    agreement = {"accuracy": {"top1": None, "images": 10}, "size_bytes": None}
    shown = texts(size_plot([v | agreement for v in VARIANTS]))
    assert "agreement with fp32" in shown
    assert "size" not in shown


def test_nothing_known_no_plot() -> None:
    nothing = {"accuracy": {"top1": None, "images": 0}, "size_bytes": None}
    nothing["vs_fp32"] = {"top1_agreement": None, "sqnr_db": None}
    assert size_plot([v | nothing for v in VARIANTS]) is None


def overlapping(svg: str | None) -> list[tuple[str, str]]:
    """Pairs of texts, centred on one line, that are wider together than their distance."""
    assert svg is not None
    lines: dict[float, list[tuple[float, float, str]]] = {}
    for size, x, y, text in re.findall(
        r'<text style="font-size: ([\d.]+)px;\s+text-anchor: middle[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', svg
    ):
        lines.setdefault(round(float(y)), []).append((float(x), LETTER * float(size) * len(text), text))
    pairs = [pair for line in lines.values() for pair in zip(sorted(line), sorted(line)[1:], strict=False)]
    assert len(pairs) >= 3
    return [(a[2], b[2]) for a, b in pairs if b[0] - a[0] < (a[1] + b[1]) / 2]


LETTER = 0.6
"""Width of a digit as a share of the size of the font."""


def metric(value: float, unit: str = "%") -> dict[str, object]:
    about = {"name": "map", "title": "mAP", "unit": unit, "falls": False, "output": "all", "value": value}
    return {"accuracy": {"top1": None, "images": 32, "metric": about}}


@pytest.mark.parametrize(
    ("values", "unit"),
    [((0.0, 0.0), "%"), ((65.80, 65.81), "%"), ((100.0, 100.0), "%"), ((1234.5, 1234.6), ""), ((3e-5, 3.01e-5), "")],
)
def test_numbers_below_an_axis_do_not_overlap(values: tuple[float, float], unit: str) -> None:
    """Not where all variants are nearly equal, either; and none of them is a difference from a number in a corner."""
    variants = [variant | metric(values[i % 2], unit) for i, variant in enumerate(VARIANTS)]
    svg = size_plot(variants)
    assert not overlapping(svg)
    assert not [text for text in texts(svg) if re.search(r"\de[-−+]?\d.*[-−+]", text) or text.startswith("+")]
    assert {"mAP"} <= set(texts(svg))
    shown = texts(tradeoff_plot(points_of(variants), Measure.of(variants)))
    assert not [text for text in shown if text.startswith("+")]
    if unit == "%":
        assert not [text for text in [*shown, *texts(svg)] if re.fullmatch(r"1e.\d", text)]


@pytest.mark.parametrize(("falls", "better"), [(True, "Down and to the left is better"), (False, "Up and to the left")])
def test_the_caption_knows_which_way_is_better(falls: bool, better: str) -> None:
    values: dict[str, object] = {
        "name": "mse",
        "title": "mse",
        "unit": "",
        "falls": falls,
        "output": "all",
        "value": 0.5,
    }
    accuracy = {"accuracy": {"top1": None, "images": 32, "metric": values}}
    assert better in str(tradeoff({"variants": [variant | accuracy for variant in VARIANTS]}))
