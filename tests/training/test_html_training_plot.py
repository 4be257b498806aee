"""The plot of a learning curve."""

from __future__ import annotations

import re

from fxpasses.reports.html.training_plot import curve_plot

CURVE = [
    {"epoch": 1.0, "phase": "open", "loss": 0.51, "accuracy": 81.25},
    {"epoch": 2.0, "phase": "open", "loss": 0.43, "accuracy": 85.0},
    {"epoch": 2.5, "phase": "frozen", "loss": 0.321, "accuracy": 90.1},
]


def test_both_panels_and_the_last_values() -> None:
    svg = curve_plot(CURVE)
    assert svg is not None and set(re.findall(r"#[0-9a-fA-F]{6}\b", svg)) <= {"#ffffff"}  # colours follow the theme
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"loss", "right in training, %", "0.321", "90.1"} <= set(shown) and shown.count("epoch") == 2


def test_a_point_is_no_curve() -> None:
    assert curve_plot(CURVE[:1]) is None
