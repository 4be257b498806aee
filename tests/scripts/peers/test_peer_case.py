"""A case on disk: contestants read what was written, and reading needs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from peers.case import Case, read_case, write_case
from repository import ROOT

SCRIPTS = ROOT / "scripts"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return write_case(tmp_path, "net", None, (np.full((2, 3), number, np.float32) for number in range(4)))


def test_what_is_read_is_what_was_written(case: Case) -> None:
    assert read_case(case.folder) == case
    assert case.batches == 4
    assert case.weights is None


def test_weights_are_a_path(tmp_path: Path) -> None:
    assert read_case(write_case(tmp_path, "net", Path("a/b.pt"), []).folder).weights == str(Path("a/b.pt"))


def test_batches_come_in_order_as_often_as_asked(case: Case) -> None:
    for _ in range(2):
        assert [float(batch[0, 0]) for batch in case.calibration()] == [0, 1, 2, 3]
    assert [float(batch[0, 0]) for batch in case.calibration(1, 3)] == [1, 2]


def test_the_onnx_quantizers_are_given_their_work_without_torch() -> None:
    code = "import sys, peers.case, peers.onnx_quantizers, peak_memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=False).returncode == 0
