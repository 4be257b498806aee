"""The example notebook and its script are one, its outputs are there, and it runs from top to bottom."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

SCRIPT = ROOT / "docs" / "examples" / "int8_in_a_notebook.py"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(SCRIPT.with_suffix(".ipynb").read_text("utf-8"))["cells"]
    return found


def of_script() -> list[tuple[str, str]]:
    """Kind and text of each cell of the percent script."""
    parts = re.split(r"^# %%(.*)\n", SCRIPT.read_text("utf-8"), flags=re.MULTILINE)[1:]
    found = []
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        is_text = "markdown" in kind
        lines = [re.sub(r"^# ?", "", line) if is_text else line for line in text.strip("\n").split("\n")]
        found.append(("markdown" if is_text else "code", "\n".join(lines)))
    return found


def test_the_notebook_is_the_script() -> None:
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells()] == of_script()


def test_the_outputs_are_there() -> None:
    outputs = [output for cell in cells() for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    told = "".join("".join(output.get("text", [])) for output in outputs)
    assert "outputs differ by at most 0 LSB" in told and "int8 throughout" in told


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "ignore", str(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["resnet18.int8.onnx"] < 0.3 * sizes["resnet18.fp32.onnx"]
