"""The comparison of criteria: every one runs, and a failure is one message."""

from __future__ import annotations

import io
import json
from pathlib import Path

import compare_criteria
import pytest
from rich.console import Console

from fxpasses.pruning.masks.criteria import CRITERIA

DIGITS = ("digits_cnn", "--data", "digits", "--eval", "60")


def row(criterion: str, statistics: float, loss: float) -> compare_criteria.Row:
    return compare_criteria.Row(criterion, "layer", 0.8, 0.7, 50.0, 60.0, statistics, loss, 90.0, 1.0)


def test_all_criteria_are_compared() -> None:
    assert set(compare_criteria.ALL) == {*CRITERIA, "surgeon"}
    assert set(compare_criteria.parsed(["--data", "digits"]).criteria) == set(compare_criteria.ALL)


def test_the_best_stands_first_and_loss_breaks_ties() -> None:
    file = io.StringIO()
    rows = [row("worst", 70.0, 0.1), row("tied", 80.0, 0.9), row("best", 80.0, 0.5)]
    Console(file=file, width=120).print(compare_criteria.table_of("a title", rows))
    text = file.getvalue()
    assert "a title" in text and text.index("best") < text.index("tied") < text.index("worst")


def test_rows_hold_what_is_left_and_what_it_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "rows.json"
    assert (
        compare_criteria.main([*DIGITS, "--criteria", "l2", "surgeon", "--scopes", "global", "--json", str(found)]) == 0
    )
    document = json.loads(found.read_text())
    assert [made["criterion"] for made in document["rows"]] == ["l2", "surgeon"]
    assert all(0.7 < made["macs"] <= 0.8 and made["params"] < 1 for made in document["rows"])
    assert document["images"] == 60 and document["dense"]["top1"] is not None
    assert "surgeon" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--data", "digits", "--budget", "macs=2"), "budget macs=2"),
        (("--data", "random=1x8x8"), "no labels"),
        (("--data", "digitz"), "did you mean 'digits'"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_criteria.main(["digits_cnn", *arguments]) == 2
    assert error in " ".join(capsys.readouterr().err.split())
