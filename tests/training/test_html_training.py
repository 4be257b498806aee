"""The learning curve in report.html."""

from __future__ import annotations

from fxpasses.reports.html.training import curve_cells, training

CURVE = [
    {"epoch": 1.0, "phase": "open", "loss": 0.51234, "accuracy": 81.25},
    {"epoch": 1.25, "phase": "frozen", "loss": 0.4, "accuracy": 90.0},
]


def test_rows_are_the_points() -> None:
    assert curve_cells(CURVE) == [("1.00", "open", "0.5123", "81.2 %"), ("1.25", "frozen", "0.4000", "90.0 %")]


def test_the_section_is_there_where_something_was_trained() -> None:
    page = training({"training": CURVE})
    assert page is not None and "0.5123" in page and "frozen" in page and "<svg" in page
    alone = training({"training": CURVE[:1]})
    assert alone is not None and "<svg" not in alone
    assert training({}) is None


def test_right_answers_have_no_column_where_nothing_is_right_or_wrong() -> None:
    curve = [point | {"accuracy": None} for point in CURVE]
    text = str(training({"training": curve}))
    assert "right in training" not in text
    assert "right in training" in str(training({"training": CURVE}))
