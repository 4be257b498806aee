"""Settings of the files in recipes: a search writes them, and a run from the recipe makes the same files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
from cli_runs import fxpasses

from fxpasses.cli.folders.folder import DataChoice, ModelChoice
from fxpasses.cli.static import recipe_option
from fxpasses.cli.static.quantize_model import Settings
from fxpasses.cli.static.recipe_option import SettingsOrigin, chosen_settings
from fxpasses.cli.terminal import open_terminal
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.search.recipe_file import Files, Recipe, read_recipe, write_recipe

CONFIG = QuantConfig(target="x86", observer="minmax")
CHOICES = ModelChoice("digits_cnn"), DataChoice("digits")
FILES = Files(dynamic_size=True, form="qoperator", opset=13)


def test_a_search_writes_them_and_a_recipe_sets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = SimpleNamespace(images=40, sqnr_db=None)
    found = SimpleNamespace(settings=CONFIG, what="minmax", drop=0.0, score=score, latency=None)
    monkeypatch.setattr(recipe_option, "search_into", lambda *_: found)
    with open_terminal() as terminal:
        asked = Settings(CONFIG, **vars(FILES))
        searched = chosen_settings(tmp_path, *CHOICES, asked, SettingsOrigin(max_drop=1.0), terminal)
        assert searched.recipe is not None and searched.recipe.files == FILES
        write_recipe(tmp_path / "recipe.toml", searched.recipe)
        again = chosen_settings(
            tmp_path, *CHOICES, Settings(QuantConfig()), SettingsOrigin(tmp_path / "recipe.toml"), terminal
        )
    assert {name: getattr(again.settings, name) for name in vars(FILES)} == vars(FILES)
    assert again.settings.config == CONFIG


def test_options_that_the_recipe_sets_are_refused(tmp_path: Path) -> None:
    write_recipe(tmp_path / "recipe.toml", Recipe(CONFIG))
    command = (
        "quantize",
        "digits_cnn",
        "--data",
        "digits",
        "--recipe",
        tmp_path / "recipe.toml",
        "--out",
        tmp_path / "x",
    )
    for options in (("--dynamic-size",), ("--opset", "13"), ("--form", "qoperator")):
        run = fxpasses(*command, *options)
        assert run.code == 2 and f"--recipe with {options[0]}" in run.err, run.err


FACTORY = """
import torch
from torch import nn


def factory():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3)), (3, 12, 10)
"""


@pytest.mark.slow
def test_a_run_from_the_recipe_gives_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FACTORY)
    source = (f"{tmp_path / 'net.py'}:factory", "--data", "random=3x12x10", "--calib", "4", "--eval", "4", "--no-bench")
    options = ("--target", "x86", "--observer", "minmax", "--dynamic-size", "--form", "qoperator", "--opset", "13")
    assert fxpasses("quantize", *source, *options, "--out", tmp_path / "a").code == 0
    write_recipe(tmp_path / "recipe.toml", Recipe(CONFIG, files=FILES))
    assert read_recipe(tmp_path / "recipe.toml").files == FILES
    assert fxpasses("quantize", *source, "--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "b").code == 0
    files = [tmp_path / folder / "model.int8.onnx" for folder in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    for model in (onnx.load(files[0]), onnx.load(tmp_path / "a" / "model.fp32.onnx")):
        assert (model.opset_import[0].version, model.ir_version) == (13, 7)
        assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim][2:] == ["height", "width"]
