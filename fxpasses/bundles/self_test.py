"""The self-test of a bundle on this machine: the result of ``python run.py --selftest`` in its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .contents import RUN

LIMIT_S = 600.0


@dataclass(frozen=True)
class SelfTest:
    """Whether this machine computes the expected integers, and the lines that say so."""

    passed: bool
    said: str


def self_test(folder: Path) -> SelfTest:
    """Run the self-test of an unpacked bundle in a process of its own."""
    command = [sys.executable, str(folder / RUN), "--selftest"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S, env=environment)
    return SelfTest(done.returncode == 0, (done.stdout + done.stderr).strip())
