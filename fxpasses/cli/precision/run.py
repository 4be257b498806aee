"""What ``quantize`` does for every ``--method`` but ``static``, and what it prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxpasses.export.files import staged_folder
from fxpasses.reports.console import print_report

from ..folders.artifacts import REPORT_HTML
from ..folders.folder import DataChoice, ModelChoice
from ..given import open_input
from ..terminal import Terminal
from .lower_model import LoweredSettings as LoweredSettings
from .lower_model import lower_into
from .methods import MethodOptions as MethodOptions
from .methods import lowering_of


def quantize_lowered(
    model: ModelChoice,
    data: DataChoice,
    out: Path,
    options: MethodOptions,
    settings: LoweredSettings,
    terminal: Terminal,
) -> None:
    """Lower the model, write ``out``, and print the report."""
    lowering = lowering_of(options)
    with staged_folder(out) as stage:
        report = lower_into(stage, open_input(model, data, terminal), lowering, settings, terminal)
    terminal.document = report
    print_lowered(report, out, terminal)


def print_lowered(report: Mapping[str, Any], out: Path, terminal: Terminal) -> None:
    """The report's tables and remarks, and where everything is."""
    from rich.text import Text

    print_report(report, terminal.results)
    terminal.results.print(Text(f"files   in {out}; open {out / REPORT_HTML} in a browser"), soft_wrap=True)
