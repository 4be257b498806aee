"""The table of placement in report.html."""

from __future__ import annotations

from fxpasses.quantization.config import QuantConfig
from fxpasses.reports.html.placement import placement, placement_cells
from fxpasses.sensitivity.search.placement import Placement, Tried

FOUND = Placement(QuantConfig(), (Tried("hardswish", 21, 1.05, True), Tried("max_pool2d", 1, 0.98, False))).to_json()


def test_rows_say_what_was_tried_and_where_it_stays() -> None:
    assert placement_cells(FOUND) == [
        ("hardswish", "21", "1.05×", "float"),
        ("max_pool2d", "1", "0.98×", "int8"),
    ]


def test_the_section_is_there_where_it_was_measured() -> None:
    page = placement({"placement": FOUND})
    assert page is not None and "hardswish" in page and "1.05×" in page
    assert placement({}) is None
