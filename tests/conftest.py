"""What every test may ask for: the folder of real data, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets and weights: ``FXPASSES_DATA``, else ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("FXPASSES_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set FXPASSES_DATA to the folder that holds it")
    return folder
