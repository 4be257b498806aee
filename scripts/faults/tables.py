"""The counts as a table, and a sentence on each trial that went wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from faults.state import NEW, OLD
from faults.trials import Trial


def count_table(trials: Sequence[Trial]) -> Table:
    """Table with a row for each kind of fault and of moment."""
    table = Table()
    table.add_column("fault")
    table.add_column("at")
    for name in ("trials", "right", "old result", "new result", "moves finished", "too late"):
        table.add_column(name, justify="right")
    for kind, moment in dict.fromkeys((trial.fault.kind, trial.fault.moment) for trial in trials):
        chosen = [trial for trial in trials if (trial.fault.kind, trial.fault.moment) == (kind, moment)]
        table.add_row(kind, moment, *_counts(chosen))
    table.add_row("all", "", *_counts(trials))
    return table


def wrong(trials: Sequence[Trial]) -> list[str]:
    """Sentences on the problems, with the label by which a trial is run again."""
    return [
        f"{trial.fault.label}: {trial.fault.command.name}, {trial.fault.kind} at {trial.fault.moment}: "
        f"{trial.assessment.why_wrong}"
        for trial in trials
        if trial.assessment.why_wrong is not None
    ]


def _counts(trials: Sequence[Trial]) -> list[str]:
    assessed = [trial.assessment for trial in trials]
    counts = (
        len(assessed),
        sum(one.why_wrong is None for one in assessed),
        sum(one.state == OLD for one in assessed),
        sum(one.state == NEW for one in assessed),
        sum(one.was_finished for one in assessed),
        sum(one.came_too_late for one in assessed),
    )
    return list(map(str, counts))
