"""Prints the result of a quantization on the terminal."""

from __future__ import annotations

from pathlib import Path

from fxpasses.reports.alerts import broken_promises
from fxpasses.reports.console import print_report

from ..folders.artifacts import REPORT_HTML
from ..terminal import Terminal
from .quantize_model import Outcome


def print_outcome(outcome: Outcome, out: Path, terminal: Terminal) -> None:
    """Print the report's tables and remarks, the audit of the int8 file, and the folder.

    The command ends with exit code 1 if the two runtimes differ by more than promised.
    """
    from rich.text import Text

    console = terminal.results
    terminal.ok = not broken_promises(outcome.report)
    print_report(outcome.report, console)
    console.print(Text(f"audit   {outcome.audit.summary}", style="" if outcome.audit.ok else "yellow"))
    console.print(Text(f"files   in {out}; open {out / REPORT_HTML} in a browser"), soft_wrap=True)
