"""The script as a user runs it: a few faults are handled correctly, and an error would be reported."""

from __future__ import annotations

import io
import signal
import subprocess
import sys

import fault_injection
import pytest
from faults.assessing import Assessment
from faults.children import Ended
from faults.commands import COMMANDS
from faults.plan import CLOCK, Fault
from faults.state import MIXED, OLD
from faults.tables import count_table, wrong
from faults.trials import Trial
from repository import ROOT
from rich.console import Console

SCRIPT = ROOT / "scripts" / "fault_injection.py"
LIMIT_S = 900


def _trial(label: str, assessment: Assessment) -> Trial:
    return Trial(Fault(label, COMMANDS[0], signal.SIGINT, CLOCK, 0.5), Ended(130, "", 1.0), assessment)


def test_the_table_and_what_is_wrong() -> None:
    trials = [_trial("kill-0", Assessment(OLD)), _trial("kill-1", Assessment(MIXED, why_wrong="it holds two"))]
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(count_table(trials))
    rows = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    assert ["SIGINT", "clock", "2", "1", "1", "0", "0", "0"] in rows
    assert ["all", "2", "1", "1", "0", "0", "0"] in rows
    assert wrong(trials) == ["kill-1: quantize, SIGINT at clock: it holds two"]


def test_a_trial_that_there_is_not() -> None:
    with pytest.raises(SystemExit, match="there is no trial kill-7 among 3 kills and 1 disks"):
        fault_injection.main(["--kills", "3", "--disks", "1", "--only", "kill-7"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the script is for Linux")
def test_three_kills_and_two_full_disks() -> None:
    line = [sys.executable, str(SCRIPT), "--kills", "3", "--disks", "2"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    (total,) = [line for line in done.stdout.splitlines() if line.startswith("│ all")]
    assert total.replace("│", " ").split()[1:3] == ["5", "5"]
