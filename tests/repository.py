"""Path of the repository, for tests in any folder."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
RUN_FOLDER = "FXPASSES_TEST_RUN"
"""Variable of the environment with the folder that all processes of a run of tests share."""
