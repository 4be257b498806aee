"""``fxpasses prune``: one command from a model to a smaller int8 file and a report with its losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_runs import Run, fxpasses

import fxpasses as package
from fxpasses.cli.commands.prune_command import pruning_lines
from fxpasses.cli.options.pruning import PruneOptions
from fxpasses.cli.options.source import MeasureOptions
from fxpasses.cli.pruning.asked import settings_of
from fxpasses.cli.pruning.recipe import read_recipe, write_recipe
from fxpasses.cli.pruning.steps import Pruning
from fxpasses.cli.static.quantize_model import Settings
from fxpasses.errors import InputError
from fxpasses.export.pt2.save_and_load import load
from fxpasses.pruning import Budget, Masks
from fxpasses.reports.html.page import render_html
from fxpasses.reports.html.pruning import pruning as pruning_section

QUICK = ("digits_cnn", "--data", "digits", "--eval", "40", "--threads", "1", "--no-bench")


def prune(out: Path, *arguments: str) -> Run:
    return fxpasses("prune", *QUICK, "--out", out, *arguments)


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


@pytest.mark.slow
def test_fewer_channels(tmp_path: Path) -> None:
    out = tmp_path / "small"
    done = prune(out, "--ratio", "0.5", "--layers", "block1.conv1")
    assert done.code == 0, done.err
    assert {p.name for p in out.iterdir()} == {
        "model.fp32.onnx", "model.fp32.pt2", "recipe.json", "report.json", "report.html",
    }  # fmt: skip
    report = report_of(out)
    assert report["pruning"]["channels"] == {"block1.conv1": {"kept": 8, "of": 16}}
    assert report["target"] is None and report["parity"] is None


@pytest.mark.slow
def test_half_of_the_products_and_int8(tmp_path: Path) -> None:
    out = tmp_path / "small"
    done = prune(out, "--budget", "macs=0.5", "--round-to", "4", "--quantize", "--calib", "16", "--criterion", "taylor")
    assert done.code == 0, done.err
    assert {p.name for p in out.iterdir()} == {
        "model.fp32.onnx", "model.fp32.pt2", "model.int8.onnx", "model.int8.pt2",
        "recipe.json", "report.json", "report.html",
    }  # fmt: skip
    report = report_of(out)
    account = report["pruning"]
    assert account["pruned"]["macs"] <= 0.52 * account["dense"]["macs"]
    assert account["pruned"]["compressed_bytes"] < 0.8 * account["dense"]["compressed_bytes"]
    assert all(c["kept"] % 4 == 0 for c in account["channels"].values())
    assert account["kept_whole"] == {"classifier": "output is the output of the model"}
    assert report["parity"]["max_lsb_at_any_node"] <= 1
    assert [v["name"] for v in report["variants"]][:4] == [
        "dense torch fp32", "dense onnxruntime fp32", "torch fp32", "onnxruntime fp32",
    ]  # fmt: skip
    assert report["audit"]["ok"]
    assert load(out / "model.int8.pt2")(torch.randn(3, 1, 8, 8)).shape == (3, 10)
    assert "MACs" in done.out and "% left" in done.out
    assert "layers lost channels" in render_html(report)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # in torch.export.load of torch 2.11
def test_zeros_make_no_dense_kernel_faster(tmp_path: Path) -> None:
    out = tmp_path / "sparse"
    done = prune(out, "--granularity", "2:4", "--bench", "--fine-tune", "1", "--distill")
    assert done.code == 0, done.err
    report = report_of(out)
    account = report["pruning"]
    assert 0.4 < account["pruned"]["sparsity"] <= 0.5
    assert account["pruned"]["params"] == account["dense"]["params"]
    assert account["fine_tuning"]["distilled"]
    assert "do not speed up dense CPU kernels" in account["remark"]
    assert set(account["speedup_vs_dense"]) == {"torch fp32", "onnxruntime fp32"}
    assert any("do not speed up" in w for w in report["warnings"])
    masks = Masks.load(out / "masks.safetensors")
    program = torch.export.load(out / "model.fp32.pt2")
    names = {name.removesuffix(".weight") for name in program.state_dict}
    assert set(masks) <= names
    bench = fxpasses("bench", out)
    assert bench.code == 2, "there is nothing in int8 here"


@pytest.mark.slow
def test_a_schedule_ends_at_the_ratio(tmp_path: Path) -> None:
    done = prune(tmp_path / "s", "--granularity", "weight", "--ratio", "0.8", "--schedule", "cubic", "--fine-tune", "3")
    assert done.code == 0, done.err
    account = report_of(tmp_path / "s")["pruning"]
    assert list(account["sparsity"].values()) == pytest.approx([0.8] * len(account["sparsity"]), abs=0.01)
    assert account["pruned"]["sparsity"] == pytest.approx(0.8, abs=0.03)


@pytest.mark.slow
def test_a_measured_budget(tmp_path: Path) -> None:
    done = prune(tmp_path / "fast", "--budget", "latency=0.95")
    assert done.code == 0, done.err
    assert report_of(tmp_path / "fast")["pruning"]["budget_left"] <= 0.95


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "neither a ratio nor a budget"),
        (("--ratio", "1.0"), "ratio 1.0"),
        (("--ratio", "0.5", "--budget", "macs=0.5"), "a budget with a ratio"),
        (("--budget", "macs=0.5", "--granularity", "weight"), "a budget with granularity 'weight'"),
        (("--budget", "mac=0.5"), "did you mean 'macs'"),
        (("--ratio", "0.5", "--layers", "clasifier"), "did you mean 'classifier'"),
        (("--ratio", "0.5", "--layers", "classifier"), "no channels of 'classifier' can be removed"),
        (("--ratio", "0.5", "--distill"), "--distill"),
        (("--ratio", "0.5", "--fine-tune", "-1"), "-1 epochs"),
        (("--ratio", "0.5", "--schedule", "cubic", "--fine-tune", "3"), "schedule 'cubic'"),
        (("--ratio", "0.5", "--granularity", "weight", "--criterion", "surgeon"), "scores channels only"),
        (("--ratio", "0.5", "--criterion", "l7"), "criterion 'l7'"),
        (("--ratio", "0.5", "--granularity", "filter"), "granularity 'filter'"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: tuple[str, ...], error: str) -> None:
    done = prune(tmp_path / "out", *arguments)
    assert done.code == 2
    assert error in done.err
    assert list(tmp_path.iterdir()) == []


SIZES = {
    "params": 1000, "nonzero_params": 500, "sparsity": 0.5, "macs": 2000, "size_bytes": 4000, "compressed_bytes": 1000,
}  # fmt: skip
ACCOUNT: dict[str, Any] = {
    "criterion": "l1", "granularity": "weight", "ratio": 0.5, "budget": None, "scope": "layer", "round_to": 1,
    "dense": SIZES, "pruned": SIZES, "remark": "zeros do not help", "sparsity": {"conv": 0.5},
    "speedup_vs_dense": {"torch fp32": {"median": 1.01, "q25": 0.99, "q75": 1.02}},
}  # fmt: skip


def test_recipes_come_back(tmp_path: Path) -> None:
    pruning = Pruning(budget=Budget("params", 0.4), layers=("conv*", "linear"), keep_joined=True, seed=3)
    write_recipe(pruning, tmp_path / "recipe.json")
    assert read_recipe(tmp_path / "recipe.json") == pruning


def settings_for(recipe: Path, *, opset: int | None = None) -> Settings:
    options = PruneOptions(recipe=recipe, opset=opset)
    return settings_of(options, MeasureOptions(), seed=0)


def test_the_opset_of_a_recipe_is_taken_unless_another_is_asked_for(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    write_recipe(Pruning(ratio=0.3), recipe, opset=17)
    assert json.loads(recipe.read_text())["files"] == {"opset": 17}
    assert read_recipe(recipe) == Pruning(ratio=0.3) == package.load(recipe)
    assert settings_for(recipe).opset == 17 and settings_for(recipe, opset=20).opset == 20
    write_recipe(Pruning(ratio=0.3), recipe)
    assert settings_for(recipe).opset is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ('{"prune": {"ratio": 0.5}, "files": {"opset": 9}}', "files.opset"),
        ("{", "is not JSON"),
        ("[]", "has no 'prune'"),
        ('{"prune": {"ratoi": 0.5}}', "there is no setting 'ratoi'"),
        ('{"prune": {"budget": {"what": 1}}}', "prune.budget.resource"),
        ('{"prune": {}}', "neither a ratio nor a budget"),
    ],
)
def test_bad_recipes(tmp_path: Path, content: str, error: str) -> None:
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(InputError, match=error):
        read_recipe(tmp_path / "recipe.json")


def test_lines() -> None:
    lines = "\n".join(pruning_lines(ACCOUNT))
    assert "of which 50.0 % are zero" in lines
    assert "1.01 times as fast as dense (0.99–1.02)" in lines


def test_page() -> None:
    assert pruning_section({}) is None
    page = str(pruning_section({"pruning": ACCOUNT}))
    statistics = {"of": "calibration images", "taken_again": True, "distance_to_dense": {}}
    assert "BatchNorm statistics" not in page
    assert "taken again of calibration images" in str(
        pruning_section({"pruning": {**ACCOUNT, "batch_norm_statistics": statistics}})
    )
    assert "zeros do not help" in page and "1 layer masked" in page and "1.01" in page
