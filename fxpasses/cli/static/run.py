"""``quantize --method static``: settle the settings, quantize, and print the result."""

from __future__ import annotations

from pathlib import Path

from fxpasses.export.files import staged_folder

from ..given import open_input
from ..options.source import SourceOptions
from ..terminal import Terminal
from .quantize_model import Settings, quantize_into
from .recipe_option import SettingsOrigin, chosen_settings, record
from .repair_account import explain_into
from .summary import print_outcome


def quantize_static(
    source: SourceOptions,
    out: Path,
    settings: Settings,
    origin: SettingsOrigin,
    terminal: Terminal,
    *,
    explain: bool = False,
) -> None:
    """Fill ``out`` completely or not at all, and print the outcome.

    Args:
        settings: as the options say; a recipe or a search may replace them.
        explain: measure the gain of each repair, too.

    Raises:
        FxPassesError: whatever is wrong with the model, the data or the settings.
    """
    with staged_folder(out) as stage:
        model, data = source.chosen_model, source.chosen_data
        found = chosen_settings(stage, model, data, settings, origin, terminal)
        given = open_input(model, data, terminal)
        outcome = quantize_into(stage, given, found.settings, terminal)
        if explain:
            outcome = explain_into(stage, given, found.settings, outcome, terminal)
        record(stage, found, outcome.report, terminal)
    terminal.document = outcome.report
    print_outcome(outcome, out, terminal)
