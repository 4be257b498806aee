"""Fixtures of all tests: the folder of real data, if there is one, and golden files."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
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


BEGIN_FIRST = (
    *("test_labs_quick.py", "test_every_cpu.py", "test_operator_sweep.py", "test_lab_low_bit.py", "test_tasks.py"),
    *("test_torchvision_detectors.py", "test_whole_file.py", "test_fault_injection.py", "test_training_run.py"),
    *("test_bad_files.py", "test_hugging_face.py", "test_compare_peers.py", "test_load_server.py", "test_migrating.py"),
    *("test_int8_notebook.py", "test_matrix_command.py", "test_qat_processes.py", "test_bench_calibration.py"),
)
"""Files with tests of minutes. A file is run by one process: begun late, it would keep the others waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by how long they take: the longest first, then those with many tests."""
    tests = Counter(item.path for item in items)
    ranks = {name: rank for rank, name in enumerate(BEGIN_FIRST)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(ranks)), -tests[item.path]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, to be reviewed as code")


@pytest.fixture(scope="module")
def few_objects() -> Iterator[None]:
    """Hide all objects that exist from the garbage collector: benchmarks ask it to go through them before each timing.

    Not for all tests: it would go through what comes later too often.
    """
    gc.freeze()
    yield
    gc.unfreeze()


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


@pytest.fixture(scope="session")
def lab_data(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets under their names, as the labs take them; CIFAR-10 from its binary files, or made from its images."""
    folder = tmp_path_factory.mktemp("data")
    for place in data_dir.iterdir():
        if place.is_dir() and place.name != "cifar10":
            (folder / place.name).symlink_to(place.resolve())
    cifar = data_dir / "cifar10"
    if (cifar / "load.py").is_file():
        (folder / "cifar10").mkdir()
        subprocess.run([sys.executable, cifar / "load.py", folder / "cifar10"], check=True)
    elif cifar.is_dir():
        (folder / "cifar10").symlink_to(cifar.resolve())
    return folder


@pytest.fixture
def real_machine_target(monkeypatch: pytest.MonkeyPatch) -> Callable[[], targets.MachineTarget]:
    """The function that decides the target "auto", restored while the test runs."""
    monkeypatch.setattr(targets, "machine_target", MACHINE_TARGET)
    return MACHINE_TARGET


@pytest.fixture(scope="module")
def interpreter() -> Iterator[None]:
    """Triton's interpreter in the place of a GPU, while a file's tests run."""
    from interpreted import HAS_TRITON, interpreted_kernels

    if not HAS_TRITON:
        pytest.skip("Triton has no build for this system")
    with interpreted_kernels():
        yield
