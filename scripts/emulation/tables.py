"""Outcomes as tables: a row for each file, a column for each CPU."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from emulation.outcome import ONNXRUNTIME, SMALLEST_DIFFERENCE, Outcome

WITH_OPTION = "*"
LONGEST = 60


def difference_table(outcomes: Sequence[Outcome], runtime: str) -> Table:
    """Table of the largest difference from exact arithmetic, in LSB."""
    chosen = [o for o in outcomes if o.runtime == runtime]
    versions = " and ".join(dict.fromkeys(o.version for o in chosen))
    table = _table(f"{runtime} {versions}: largest difference from exact arithmetic, in LSB", chosen)
    _add_rows(table, chosen, difference_text)
    return table


def instructions_table(outcomes: Sequence[Outcome]) -> Table:
    """Table of the instructions of one inference on ARM, and the share of those that sum int8 products."""
    chosen = [o for o in outcomes if o.instructions is not None]
    table = _table("onnxruntime: millions of instructions for one inference", chosen)
    _add_rows(table, chosen, instructions_text)
    return table


def notes(outcomes: Sequence[Outcome]) -> list[str]:
    """Notes beside the tables: options, reasons for skipping, and reasons why nothing was counted."""
    told = []
    options = dict.fromkeys(f"{key}={value}" for o in outcomes for key, value in o.options.items())
    if options:
        told.append(f"{WITH_OPTION} with {', '.join(options)}")
    for outcome in outcomes:
        if outcome.skipped:
            told.append(f"skipped: {outcome.cpu} in {outcome.runtime}: {outcome.why_not}")
        elif outcome.why_not is not None:
            told.append(f"{outcome.file} on {outcome.cpu}: {outcome.runtime} {outcome.version}: {outcome.why_not}")
        if outcome.why_uncounted is not None:
            told.append(f"instructions not counted on {outcome.cpu}: {outcome.why_uncounted}")
    return list(dict.fromkeys(" ".join(line.split()) for line in told))


def difference_text(outcome: Outcome) -> str:
    """Text of a cell: ``0``; ``0 (3 of 500 in the last bits)``; ``14 (321 of 500)``; or a reason."""
    mark = WITH_OPTION if outcome.options else ""
    found = outcome.difference
    if found is None:
        return "skipped" if outcome.skipped else _short(f"{outcome.version}: {outcome.why_not}")
    if not found.differing:
        return f"0{mark}"
    counts = f"{found.differing} of {found.values}"
    if found.max_lsb < SMALLEST_DIFFERENCE:
        return f"{found.max_lsb:.1g}{mark} ({counts})"
    return f"{found.max_lsb:.0f}{mark} ({counts})"


def instructions_text(outcome: Outcome) -> str:
    """Text of a cell: ``12.3 (21 % dot)``."""
    found = outcome.instructions
    if found is None:
        return ""
    shares = {"dot": found.dot, "matrix": found.matrix}
    told = ", ".join(f"{100 * count / found.all:.0f} % {kind}" for kind, count in shares.items() if count)
    return f"{found.all / 1e6:.3g}" + (f" ({told})" if told else "")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _table(title: str, outcomes: Sequence[Outcome]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("file", no_wrap=True)
    for cpu in dict.fromkeys(o.cpu for o in outcomes):
        table.add_column(cpu, overflow="fold")
    return table


def _add_rows(table: Table, outcomes: Sequence[Outcome], text: object) -> None:
    assert callable(text)
    cpus = dict.fromkeys(o.cpu for o in outcomes)
    by_place = {(o.file, o.cpu): o for o in outcomes}
    for file in dict.fromkeys(o.file for o in outcomes):
        cells = [text(by_place[file, cpu]) if (file, cpu) in by_place else "" for cpu in cpus]
        table.add_row(file, *cells)


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes that are not exact."""
    return [o for o in outcomes if not o.is_good]


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line with the number of exact outcomes and of those that could not be tried."""
    compared = [o for o in outcomes if o.difference is not None]
    exact = sum(o.is_good for o in compared)
    skipped = sum(o.skipped for o in outcomes)
    cpus = len({o.cpu for o in compared if o.runtime == ONNXRUNTIME})
    told = f"{exact} of {len(compared)} give exact arithmetic's integers, on {cpus} CPUs"
    return told + (f"; {skipped} skipped" if skipped else "")
