"""What a quantization did, on the terminal."""

from __future__ import annotations

from pathlib import Path

from fxpasses.export.report_console import print_report

from .artifacts import REPORT_HTML
from .pipeline import Outcome
from .promise import is_exact, why_broken
from .terminal import Terminal


def print_outcome(outcome: Outcome, out: Path, terminal: Terminal) -> None:
    """The report's tables and remarks, what onnxruntime makes of the file, and where everything is."""
    from rich.text import Text

    console = terminal.results
    print_report(outcome.report, console)
    console.print(Text(f"audit   {outcome.audit.summary}", style="" if outcome.audit.ok else "yellow"))
    for broken in why_broken(outcome.report["parity"], exact=is_exact(outcome.report)):
        console.print(Text(f"parity  {broken}", style="red"))
    console.print(Text(f"files   in {out}; open {out / REPORT_HTML} in a browser"), soft_wrap=True)
