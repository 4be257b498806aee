"""Text of the tables and notes for each kind of outcome."""

from __future__ import annotations

import io

import pytest
from emulation.outcome import ONNXRUNTIME, TORCH, Difference, Instructions, Outcome
from emulation.tables import difference_table, difference_text, failures, instructions_table, notes, summary
from rich.console import Console
from rich.table import Table

OPTIONS = {"session.x64quantprecision": "1"}


def outcome(cpu: str = "Haswell", file: str = "net, x86", runtime: str = ONNXRUNTIME, **known: object) -> Outcome:
    return Outcome(file, "net", "x86", cpu, runtime, "1.2", **known)  # type: ignore[arg-type]


def printed(table: Table) -> str:
    file = io.StringIO()
    Console(file=file, width=160).print(table)
    return file.getvalue()


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (outcome(difference=Difference(0, 0, 500)), "0"),
        (outcome(difference=Difference(0, 0, 500), options=OPTIONS), "0*"),
        (outcome(difference=Difference(0.03, 2, 500)), "0.03 (2 of 500)"),
        (outcome(difference=Difference(14.2, 321, 500), options=OPTIONS), "14* (321 of 500)"),
        (outcome(why_not="no registry", skipped=True), "skipped"),
        (outcome(why_not="illegal instruction"), "1.2: illegal instruction"),
        (outcome(why_not="a reason " * 20), "1.2: a reason a reason a reason a reason a reason a reaso..."),
    ],
)
def test_a_cell(found: Outcome, text: str) -> None:
    assert difference_text(found) == text


def test_a_row_for_each_file_and_a_column_for_each_cpu() -> None:
    good = Difference(0, 0, 4)
    found = [
        outcome("Haswell", difference=good),
        outcome("max", difference=good),
        outcome("max", "net, arm", difference=good),
    ]
    table = difference_table(found, ONNXRUNTIME)
    assert [column.header for column in table.columns] == ["file", "Haswell", "max"]
    assert [list(column.cells) for column in table.columns] == [["net, x86", "net, arm"], ["0", ""], ["0", "0"]]
    assert "onnxruntime 1.2" in printed(table)


def test_instructions_with_the_shares_of_int8_products() -> None:
    found = [
        outcome("cortex-a72", instructions=Instructions(12_345_678, 0, 0)),
        outcome("max", instructions=Instructions(2_000_000, 200_000, 500_000)),
        outcome("Haswell"),
    ]
    table = instructions_table(found)
    assert [list(column.cells) for column in table.columns] == [["net, x86"], ["12.3"], ["2 (10 % dot, 25 % matrix)"]]


def test_notes_say_what_was_set_and_why_something_is_missing() -> None:
    told = notes(
        [
            outcome(options=OPTIONS, difference=Difference(0, 0, 4)),
            outcome("max", why_not="no network", skipped=True),
            outcome("max", "net, arm", why_not="no network", skipped=True),
            outcome("cortex-a72", runtime=TORCH, why_not="illegal instruction"),
            outcome("cortex-a72", difference=Difference(0, 0, 4), why_uncounted="no gcc"),
        ]
    )
    assert told == [
        "* with session.x64quantprecision=1",
        "skipped: max in onnxruntime: no network",
        "net, x86 on cortex-a72: torch 1.2: illegal instruction",
        "instructions not counted on cortex-a72: no gcc",
    ]


def test_the_summary_counts_what_was_compared() -> None:
    found = [
        outcome(difference=Difference(0, 0, 4)),
        outcome("max", difference=Difference(3, 1, 4)),
        outcome("Nehalem", why_not="no network", skipped=True),
    ]
    assert summary(found) == "1 of 2 give exact arithmetic's integers, on 2 CPUs; 1 skipped"
    assert failures(found) == [found[1]]
