"""Runs ``quantize`` for every ``--method`` except ``static``, and prints the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxpasses.export.files import staged_folder
from fxpasses.reports.console import print_report

from ..folders.artifacts import REPORT_HTML
from ..given import open_input
from ..options.quantize import QuantizeOptions
from ..options.source import MeasureOptions, SourceOptions
from ..terminal import Terminal
from .lower_model import LoweredSettings, lower_into
from .methods import lowering_of


def quantize_lowered(
    source: SourceOptions, out: Path, options: QuantizeOptions, measuring: MeasureOptions, terminal: Terminal
) -> None:
    """Lower the model, write ``out``, and print the report."""
    lowering = lowering_of(options)
    settings = LoweredSettings(
        measuring.evaluate, options.optimizer.value, measuring.bench, measuring.threads, options.opset
    )
    with staged_folder(out) as stage:
        given = open_input(source.chosen_model, source.chosen_data, terminal)
        report = lower_into(stage, given, lowering, settings, terminal)
    terminal.document = report
    print_lowered(report, out, terminal)


def print_lowered(report: Mapping[str, Any], out: Path, terminal: Terminal) -> None:
    """Print the report's tables and remarks, and the folder of the files."""
    from rich.text import Text

    print_report(report, terminal.results)
    terminal.results.print(Text(f"files   in {out}; open {out / REPORT_HTML} in a browser"), soft_wrap=True)
