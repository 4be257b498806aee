"""Fixtures of all tests: the folder of real data, if there is one, and golden files."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from repository import ROOT, RUN_FOLDER

if TYPE_CHECKING:
    from fxpasses.quantization.numbers.targets import MachineTarget

# Tests run in a process for each core: more threads in each would wait for each other. Read when torch is loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Examples are the same in every run, so that nobody's change fails on another's bug; a busy machine is no failure.
settings.register_profile("fxpasses", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fxpasses"))

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that send it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

BEGIN_FIRST = (
    *("test_labs_quick.py", "test_every_cpu.py", "test_operator_sweep.py", "test_lab_low_bit.py", "test_tasks.py"),
    *("test_torchvision_detectors.py", "test_whole_file.py", "test_fault_injection.py", "test_training_run.py"),
    *("test_bad_files.py", "test_sensitivity_command.py", "test_pages_in_chromium.py", "test_save_and_load.py"),
    *("test_detectors.py", "test_hugging_face.py", "test_compare_peers.py", "test_load_server.py", "test_migrating.py"),
    *("test_int8_notebook.py", "test_qat_processes.py", "test_bench_calibration.py", "test_prune_command.py"),
    *("test_datasets.py", "test_detector.py", "test_batch_places.py", "test_coverage_script.py"),
    *("test_serving_openapi.py", "test_cli_commands.py", "test_matrix_command.py"),
)
"""Files with tests of minutes. A file is run by one process: begun late, it would keep the others waiting."""


_machine_target: list[Callable[[], MachineTarget]] = []
"""The function that decides the target "auto", before tests fix it."""


def pytest_configure(config: pytest.Config) -> None:
    """Fix the target "auto" where tests run, and make the folder that all processes of a run share.

    Graphs of tests are the same on every machine. What the target is on real machines is asked by tests with
    ``real_machine_target``, and by commands in processes of their own. The process that only hands out tests does not
    load torch: the others wait for it.
    """
    if not hasattr(config, "workerinput"):
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="fxpasses-tests-")
        if config.getoption("tx", None):
            return
    gc.disable()  # what collecting imports and makes stays until the end: looking for garbage in it takes seconds
    from fxpasses.quantization.numbers import targets

    _machine_target.append(targets.machine_target)
    targets.machine_target = lambda: targets.MachineTarget("x86", "tests fix it")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[RUN_FOLDER], ignore_errors=True)


def pytest_collection_finish() -> None:
    """Look for garbage again, but not among what was made until now."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by how long they take: the longest first, then those with many tests."""
    tests = Counter(item.path for item in items)
    ranks = {name: rank for rank, name in enumerate(BEGIN_FIRST)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(ranks)), -tests[item.path]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, to be reviewed as code")


@pytest.fixture(scope="module")
def few_objects() -> None:
    """Hide all objects that exist from the garbage collector, which benchmarks call before each timing."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets and weights: ``FXPASSES_DATA``, else ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("FXPASSES_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        # The project has none of it, and its tests have to pass without.
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
def real_machine_target(monkeypatch: pytest.MonkeyPatch) -> Callable[[], MachineTarget]:
    """The function that decides the target "auto", restored while the test runs."""
    from fxpasses.quantization.numbers import targets

    monkeypatch.setattr(targets, "machine_target", _machine_target[0])
    return _machine_target[0]


@pytest.fixture(scope="module")
def interpreter() -> Iterator[None]:
    """Triton's interpreter in the place of a GPU, while a file's tests run."""
    from interpreted import HAS_TRITON, interpreted_kernels, why_no_interpreter

    if not HAS_TRITON:
        pytest.skip("Triton has no build for this system")  # torch brings it on Linux alone
    if (why := why_no_interpreter()) is not None:
        pytest.skip(why)  # Triton's defect, not the kernels': nothing can run them here
    with interpreted_kernels():
        yield
