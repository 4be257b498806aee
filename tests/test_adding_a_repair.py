"""The guide for a repair, applied to a copy of the package: two files give a setting, a step, an option and more."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

PAGE = (ROOT / "docs" / "adding_a_repair.md").read_text("utf-8")
OWN_FILE, ROW, TRIED = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
FOLDERS = ("fxpasses", "export", "models")
TABLE = "fxpasses/quantization/repair_table.py"

EVERYWHERE = """
from pathlib import Path

from typer.testing import CliRunner

from fxpasses.cli.app import app
from fxpasses.cli.static.repair_account import repair_steps
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import config_of
from fxpasses.sensitivity.search.recipe_file import Recipe, read_recipe, write_recipe

config = fx.QuantConfig(target="x86", weight_bits=4, clip_weights=True)
int8 = fx.quantize(net, batches[0], batches, config)
assert [log.name for log in pass_logs(int8)].index("clip_weights") > 0
fx.export.save(int8, "model.pt2")
assert config_of(fx.export.load("model.pt2")).clip_weights
write_recipe(Path("recipe.toml"), Recipe(config))
assert "clip_weights = true" in Path("recipe.toml").read_text()
assert read_recipe(Path("recipe.toml")).config == config
assert [step.repair for step in repair_steps(config)].count("weight clipping") == 1
wide = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
assert "--clip-weights" in CliRunner().invoke(app, ["quantize", "--help"], env=wide).output
command = ["quantize", "lenet", "--data", "random=1x28x28", "--out", "x", "--method", "fp16", "--clip-weights"]
refused = CliRunner().invoke(app, command)
assert "it weighs errors by calibrated activations" in str(refused.exception), refused
"""
"""Checks of everything that follows from the row, beside the step itself."""


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the page's repair."""
    copy = tmp_path_factory.mktemp("branch")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "fxpasses" / "quantization" / "repairs" / "weight_clipping.py").write_text(OWN_FILE, "utf-8")
    begin = "    float_results: Annotated["
    table = (ROOT / TABLE).read_text("utf-8")
    assert table.count(begin) == 1
    (copy / TABLE).write_text(table.replace(begin, ROW + begin), "utf-8")
    return copy


def run_in(branch: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=branch,
        env=os.environ | {"PYTHONPATH": str(branch)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def changed_in(branch: Path) -> list[str]:
    """Files that are not in this checkout, or differ from it."""
    copied = [path for folder in FOLDERS for path in (branch / folder).rglob("*") if path.is_file()]
    names = [str(path.relative_to(branch)) for path in copied if "__pycache__" not in path.parts]
    through_links = ("fxpasses/export/", "fxpasses/models/")
    names = [name for name in names if not name.startswith(through_links)]
    return sorted(
        name for name in names if not (ROOT / name).is_file() or not filecmp.cmp(ROOT / name, branch / name, False)
    )


@pytest.mark.slow
def test_two_files_are_a_repair_everywhere(branch: Path) -> None:
    assert changed_in(branch) == [TABLE, "fxpasses/quantization/repairs/weight_clipping.py"]
    plain, repaired = map(float, run_in(branch, "-c", TRIED + EVERYWHERE).splitlines()[-1].split())
    assert repaired < 0.8 * plain
    # a command writes the schema of recipes anew, and nothing else
    run_in(branch, "-m", "fxpasses.formats.schema_files")
    assert changed_in(branch)[0] == "fxpasses/formats/recipe.schema.json"
    assert len(changed_in(branch)) == 3
    assert '"clip_weights"' in (branch / "fxpasses" / "formats" / "recipe.schema.json").read_text("utf-8")
