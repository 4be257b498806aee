"""Report entries that every command has in common, and the function that writes the report's files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxpasses.models.loaded_model import LoadedModel
from fxpasses.reports.document import write_report
from fxpasses.reports.html.page import write_html

from .. import interruption
from ..terminal import Terminal
from .artifacts import REPORT_HTML, REPORT_JSON
from .measuring import Measured

if TYPE_CHECKING:
    from ..given import Input


def run_details(
    given: Input, images: int, measured: Measured, terminal: Terminal, calibration: int | None = None
) -> dict[str, Any]:
    """report.json's entries on the run: command, model, data and durations.

    Args:
        images: largest number of images to measure on.
        calibration: number of calibration images; None without calibration.
    """
    calibrated = {} if calibration is None else {"calibration_images": calibration}
    return {
        "command": shlex.join(["fxpasses", *sys.argv[1:]]),
        "model_details": given.model_details,
        "data_details": {
            **given.data_details,
            **calibrated,
            "evaluation_images": min(images, given.data.evaluation_images),
            "has_labels": measured.has_labels,
        },
        "durations": dict(terminal.durations),
    }


def random_weights(model: LoadedModel) -> list[str]:
    """Warning for a model with random weights; no warning for a trained one."""
    return [] if model.pretrained else ["the weights are random: accuracy and agreement say nothing"]


def write_reports(report: Mapping[str, Any], folder: Path) -> None:
    """Write report.json and report.html."""
    write_report(report, folder / REPORT_JSON)
    write_html(report, folder / REPORT_HTML)
    interruption.check()
