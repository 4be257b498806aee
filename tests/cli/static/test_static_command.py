"""``quantize --method static`` from end to end: all artifacts or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fxpasses.cli.options.source import SourceOptions
from fxpasses.cli.static.quantize_model import Settings
from fxpasses.cli.static.recipe_option import SettingsOrigin
from fxpasses.cli.static.run import quantize_static
from fxpasses.cli.terminal import open_terminal
from fxpasses.errors import InputError
from fxpasses.quantization.config import QuantConfig


def test_nothing_is_left_of_what_fails(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = SourceOptions(model="digits_cnn", data="digits")
    settings = Settings(QuantConfig(), calibration_images=0)
    with open_terminal() as terminal, pytest.raises(InputError, match="calibration images"):
        quantize_static(source, out, settings, SettingsOrigin(), terminal)
    assert not out.exists()
