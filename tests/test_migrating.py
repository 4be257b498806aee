"""docs/migrating.md is run: every call in the column "here", and a script of torch.ao beside its port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from repository import ROOT
from torch import nn

import fxpasses
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.quantization.config import Override

GUIDE = ROOT / "docs" / "migrating.md"
SCRIPTS = ROOT / "docs" / "examples"


def cells() -> list[tuple[str, str]]:
    """The left cell and the one beside it, of every row of every table."""
    rows = re.findall(r"^\| (.+?) \| (.*?) \|(?: .*)?$", GUIDE.read_text("utf-8"), flags=re.MULTILINE)
    return [row for row in rows if row[1] != "here" and not row[0].startswith("before")]


def here() -> list[str]:
    """All code in the second column, each once."""
    return list(dict.fromkeys(code for _, cell in cells() for code in re.findall(r"`([^`]+)`", cell)))


IS_NO_CALL = {"+", "torch.cat"}
"""Entries that are no calls of this package: operators in the user's own code, which capture sees."""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The names that the page's code uses without a definition, and every public name."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    model = nn.Sequential(*layers).eval()
    batches = [torch.randn(4, 3, 9, 7) for _ in range(2)]
    labelled = [(x, torch.arange(4)) for x in batches]
    given = {name: getattr(fxpasses, name) for name in dir(fxpasses) if not name.startswith("_")}
    given |= {"model": model, "inputs": batches[0], "batches": batches, "labelled": labelled}
    given |= {"Override": Override, "to_dynamic": to_dynamic, "integers": torch.zeros(3, dtype=torch.uint8)}
    given["graph"] = fxpasses.fuse(fxpasses.capture(model, batches[0]))
    given["observed"] = fxpasses.observe(given["graph"], fxpasses.QuantConfig())
    fxpasses.calibrate(given["observed"], batches)
    given["int8"] = fxpasses.convert(given["observed"])
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("migrating"))
    yield given
    os.chdir(before)


def why_not_run(code: str, names: dict[str, Any]) -> str | None:
    """Why an entry of the column does not run; None if it does."""
    if code in IS_NO_CALL:
        return None
    if code.startswith("fxpasses "):
        files = [ROOT / "fxpasses/cli/commands" / f"{code.split()[1]}_command.py"]
        files += (ROOT / "fxpasses/cli/options").glob("*.py")
        known = "".join(path.read_text("utf-8") for path in files)
        unknown = [option for option in re.findall(r"--[a-z-]+", code) if f'"{option}"' not in known]
        return f"no options {unknown}" if unknown else None
    if "/" in code and not code.startswith('"'):
        return None if (ROOT / code).exists() or (ROOT / code.replace(".", "/")).exists() else "no such file"
    if re.fullmatch(r"[a-z]+(\.[a-z]+)+", code) and code.startswith("fxpasses."):
        return None if (ROOT / f"{code.replace('.', '/')}.py").exists() else "no such module"
    if code.startswith('"'):
        fxpasses.QuantConfig(observer=code.strip('"'))
        return None
    try:
        eval(compile(code, str(GUIDE), "eval"), dict(names))
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("code", here())
@pytest.mark.filterwarnings("ignore:captured ")
def test_the_right_hand_column_runs(code: str, names: dict[str, Any]) -> None:
    assert why_not_run(code, names) is None


def test_what_does_not_run_is_found(names: dict[str, Any]) -> None:
    for code in ("fuze(graph)", "capture(graph", "fxpasses quantize --no-such", "fxpasses/nowhere.py"):
        assert why_not_run(code, names)
    assert len(here()) > 30 and len(cells()) > 45


def test_the_page_shows_the_scripts() -> None:
    text = GUIDE.read_text("utf-8")
    for name in ("torch_ao_before.py", "torch_ao_after.py"):
        assert f"```python\n{(SCRIPTS / name).read_text('utf-8')}```" in text


@pytest.mark.slow
def test_a_script_and_its_port_are_as_accurate(tmp_path: Path) -> None:
    told = {}
    for name in ("torch_ao_before.py", "torch_ao_after.py"):
        command = [sys.executable, "-W", "ignore", str(SCRIPTS / name)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        if "torch.ao" in done.stderr and "Error" in done.stderr and "before" in name:
            pytest.skip(f"torch {torch.__version__} has no torch.ao.quantization that runs this: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
        print(name, done.stdout, sep="\n")
        told[name] = [float(x) for x in re.findall(r"([\d.]+) %", done.stdout)][:2]
        assert len(re.findall(r"[\d.]+ ms for 64 images", done.stdout)) == 2
    (float_before, int8_before), (float_after, int8_after) = told.values()
    assert float_before == float_after > 95
    assert int8_after >= int8_before - 1
    assert int8_after >= float_after - 1
