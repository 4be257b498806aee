"""The guide's example works as printed: a new operator is quantized and runs in both runtimes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from repository import ROOT

GUIDE = ROOT / "docs" / "adding_an_operator.md"


@pytest.mark.slow
def test_the_operator_becomes_int8_in_both_runtimes() -> None:
    """Tested in a separate process, so that the vocabulary of this one does not change."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL))
    code = "import torch\ntorch.manual_seed(0)\n" + code
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, lsb = done.stdout.strip().splitlines()[-2:]
    assert names.count("square") >= 2 and "_int8" in names
    assert int(lsb) <= 1
