"""Functions for the cells of the labs' notebooks: begin a lab, run one section, and show its results.

FXPASSES_LAB_FULL=1      the full settings; without it a notebook runs as ``--quick`` does
FXPASSES_DATA            folder of data sets
FXPASSES_LAB_WEIGHTS     weights of the lab's large net
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lab_report import ROOT, Lab, LabReport, LabSettings, State, answer_lines, markdown_table, run_section


def settings_of_notebook(name: str) -> LabSettings:
    """Read the settings from the environment, since a notebook has no command line."""
    data = Path(os.environ.get("FXPASSES_DATA", ROOT.parent / "shared" / "data"))
    weights = os.environ.get("FXPASSES_LAB_WEIGHTS")
    quick = not os.environ.get("FXPASSES_LAB_FULL")
    out = Path(os.environ.get("FXPASSES_LAB_OUT", ROOT / "labs")) / name
    return LabSettings(data, out, quick, Path(weights) if weights else None)


def begin_notebook(lab: Lab[State]) -> State:
    """Make the state that the sections share: data, and nets that exist from the start."""
    return lab.begin(LabReport(lab.name, lab.title, settings_of_notebook(lab.name)))


def run_and_show(section: Callable[[State], None], state: State) -> None:
    """Run a section, then display its answers, tables and plots."""
    from IPython.display import Image, Markdown, display

    report = state.report
    answers, tables, plots = len(report.answers), set(report.tables), set(report.plots)
    run_section(section, state)
    display(Markdown("\n".join(answer_lines(report.answers[answers:]))))
    for name in [name for name in report.tables if name not in tables]:
        table = report.tables[name]
        display(Markdown("\n".join([f"**{name}**", "", *markdown_table(table.columns, table.rows)])))
    for name in [name for name in report.plots if name not in plots]:
        display(Image(filename=str(report.plots[name])))
