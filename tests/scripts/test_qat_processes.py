"""Several processes train as well as one: a real net, real digits, two bits throughout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

BAR = 1.25
"""Two standard errors of a difference, in percent, for 1000 images at 98 %: ``2 sqrt(2 * 0.98 * 0.02 / 1000)``."""


def trained(data: Path, count: int) -> dict[str, Any]:
    """The script's result, parsed from JSON, of a training in ``count`` processes."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    given = ["--data", f"mnist={data / 'mnist'}", "--weights", str(data / "models" / "mnist_lenet.pt")]
    done = subprocess.run(
        [sys.executable, *start, str(ROOT / "scripts" / "training" / "qat_processes.py"), *given],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.slow
def test_two_processes_train_as_well_as_one(data_dir: Path) -> None:
    one, two = trained(data_dir, 1), trained(data_dir, 2)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["before"] == two["before"], "the same ranges and weights to start from, bit for bit"
    assert abs(one["after"] - two["after"]) <= BAR
    assert min(one["after"], two["after"]) > one["before"]
