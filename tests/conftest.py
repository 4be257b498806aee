"""Fixtures of all tests: the folder of real data, if there is one, and golden files."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Tests run in a process for each core: more threads in each would wait for each other. Read when torch is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from fxpasses.quantization.numbers import targets  # loads torch

ROOT = Path(__file__).resolve().parent.parent

# Examples are the same in every run, so that nobody's change fails on another's bug; a busy machine is no failure.
settings.register_profile("fxpasses", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fxpasses"))

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that send it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Graphs of tests are the same on every machine: "auto" is one target for all of them. What it is on real machines is
# asked by the tests of MACHINE_TARGET, and of commands, which run in processes of their own.
MACHINE_TARGET = targets.machine_target
targets.machine_target = lambda: targets.MachineTarget("x86", "tests fix it")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, to be reviewed as code")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets and weights: ``FXPASSES_DATA``, else ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("FXPASSES_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set FXPASSES_DATA to the folder that holds it")
    return folder


@pytest.fixture
def real_machine_target(monkeypatch: pytest.MonkeyPatch) -> Callable[[], targets.MachineTarget]:
    """The function that decides the target "auto", restored while the test runs."""
    monkeypatch.setattr(targets, "machine_target", MACHINE_TARGET)
    return MACHINE_TARGET
