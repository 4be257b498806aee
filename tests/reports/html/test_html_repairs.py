"""The table of repairs in report.html."""

from __future__ import annotations

from fxpasses.reports.html.repairs import repairs
from fxpasses.reports.wording import gain_text, repair_cells

FOUND = {
    "images": 128,
    "steps": [
        {"repair": "none", "setting": "rounded <plainly>", "sqnr_db": 17.4, "gain_db": None, "top1_agreement": 94.4},
        {"repair": "equalization", "setting": "", "sqnr_db": 18.6, "gain_db": 1.2, "top1_agreement": 95.4},
        {"repair": "bias correction", "setting": "", "sqnr_db": None, "gain_db": None, "top1_agreement": None},
    ],
}


def test_rows_say_what_was_gained() -> None:
    assert repair_cells(FOUND) == [
        ("none", "rounded <plainly>", "17.4 dB", "–", "94.4 %"),
        ("equalization", "", "18.6 dB", "+1.2 dB", "95.4 %"),
        ("bias correction", "", "–", "–", "–"),
    ]


def test_the_section_tells_on_which_images() -> None:
    page = repairs({"repairs": FOUND})
    assert page is not None
    assert "the last 128 calibration images" in page
    assert "rounded &lt;plainly&gt;" in page
    assert "+1.2 dB" in page


def test_no_section_where_nothing_was_measured() -> None:
    assert repairs({}) is None


def test_losses_and_nothings() -> None:
    assert [gain_text(x) for x in (-0.31, 0.04, -0.04)] == ["−0.3 dB", "±0.0 dB", "±0.0 dB"]
