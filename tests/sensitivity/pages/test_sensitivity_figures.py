"""Figures in the page's theme and on white; the Pareto plot; the frame of pages."""

from __future__ import annotations

import re
from typing import Any

from fxpasses.machine.environment import environment
from fxpasses.reports.html.elements import element
from fxpasses.sensitivity.pages.figures import PRINTED, THEMED, Palette, as_png, as_svg
from fxpasses.sensitivity.pages.pages import page
from fxpasses.sensitivity.pages.pareto_plot import pareto_figure


def document(*, timed: bool = True) -> dict[str, Any]:
    score = {"top1": 90.0, "top1_agreement": 100.0}

    def trial(observer: str, floats: int, drop: float, speedup: float, chosen: bool = False) -> dict[str, Any]:
        return {
            "what": observer,
            "observer": observer,
            "in_float": ["conv"] * floats,
            "drop": drop,
            "holds": drop <= 0.5,
            "chosen": chosen,
            "latency_ms": 10 / speedup if timed else None,
            "speedup_vs_fp32": speedup if timed else None,
        }

    trials = [trial("minmax", 0, 2.0, 3.0), trial("histogram", 4, 0.4, 2.0, chosen=True)]
    return {"max_drop": 0.5, "images": 500, "fp32": score, "measured": "top-1", "trials": trials}


def test_a_themed_figure_holds_roles_and_a_printed_one_colours() -> None:
    seen: list[Palette] = []

    def draw(figure: Any, palette: Palette) -> None:
        seen.append(palette)
        figure.subplots().barh([0], [1], color=palette.bad)

    svg, png = as_svg(draw, 2.0), as_png(draw, 2.0)
    assert seen == [THEMED, PRINTED]
    assert "var(--bad)" in svg
    assert not re.search(r"#0[1-9]0[1-9]0[1-9]", svg)
    assert png.startswith(b"\x89PNG")
    assert png == as_png(draw, 2.0)


def test_the_pareto_plot_names_the_choice_and_the_budget() -> None:
    svg = as_svg(*pareto_figure(document()))
    assert "histogram, 4 layers in float" in svg
    assert "0.5 points below float32" in svg
    assert as_svg(*pareto_figure(document(timed=False))).startswith("<svg")


def test_a_page_says_what_where_and_how_and_escapes() -> None:
    about = {"model": "<net>", "data": "d", "command": "fxpasses sensitivity", "environment": environment()}
    text = page(about, "What it costs", element("p", "a & b"))
    assert "&lt;net&gt;" in text and "<net>" not in text
    assert "fxpasses sensitivity" in text and "a &amp; b" in text
    assert "target" not in text.split("<section")[0].split("</style>")[1]
