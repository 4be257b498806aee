"""Children, forked or started, end with the exit codes and texts of separate processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the script is for Linux")

FORKS = """
import signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from faults.children import fork, start
from faults.moments import watch

def leaves():
    print("out"); print("err", file=sys.stderr); raise SystemExit(7)

def raises():
    raise ValueError("x")

def sleeps():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); time.sleep(60)

def counts():
    folder = Path(sys.argv[2])
    found = watch(folder, lambda n: print("operation", n), lambda n: print("file", n))
    (folder / "a").mkdir(); (folder / "a" / "b").write_text("x"); (folder / "a" / "b").read_text()
    (folder / "a" / "b").rename(folder / "c"); Path(sys.argv[2] + "-beside").write_text("x")
    print(found.operations)

for work in (leaves, raises, counts):
    ended = fork(work, {}).end(60)
    print(ended.code, ended.said.split())
child = fork(sleeps, {})
print(child.wait_until(child.is_ready, 60)); child.send(signal.SIGTERM); print(child.end(60).code)
child = fork(lambda: time.sleep(60), {"A": "b"})
child.send(signal.SIGKILL); print(child.end(60).code)
print(fork(lambda: time.sleep(60), {}).end(0.2).code)
child = fork(lambda: time.sleep(60), {})
def presses():
    raise KeyboardInterrupt
try:
    child.wait_until(presses, 60)
except KeyboardInterrupt:
    print(child.end(60).code)
print(start([sys.executable, "-c", "import os; print(os.environ['A'])"], {"A": "b"}).end(60).said.strip())
"""


def test_forks_in_a_process_without_threads(tmp_path: Path) -> None:
    scripts = ROOT / "scripts"
    line = [sys.executable, "-c", FORKS, str(scripts), str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120, env=dict(os.environ))
    left, raised, counted, *others = done.stdout.splitlines()
    assert left == "7 ['out', 'err']"
    assert raised.startswith("1 ['Traceback'") and "x'" in raised
    assert counted == "0 ['operation', '1', 'operation', '2', 'operation', '3', '3']"
    assert others == ["True", "143", str(-signal.SIGKILL), "None", str(-signal.SIGKILL), "b"]
