"""Peak memory rises with the memory in use, does not fall, and is that of one process."""

from __future__ import annotations

import json
import subprocess
import sys

from peak_memory import peak_memory_bytes
from repository import ROOT

SCRIPTS = ROOT / "scripts"
HELD = 64 << 20
CODE = f"""
from peak_memory import peak_memory_bytes
peaks = [peak_memory_bytes()]
held = bytearray(b"1" * {HELD})
peaks.append(peak_memory_bytes())
del held
peaks.append(peak_memory_bytes())
print(peaks)
"""


def test_it_rises_stays_and_is_the_process_own() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=SCRIPTS, stdout=subprocess.PIPE, check=True)
    before, during, after = json.loads(done.stdout)
    assert 1 << 20 < before < HELD < peak_memory_bytes()
    assert before + HELD <= during <= after
