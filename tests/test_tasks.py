"""docs/tasks.md: nets trained on generated images, and on sentences, measured by their own metric before and after."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from cli_runs import fxpasses

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
QUICK = ("--threads", "1", "--no-bench", "--calib", "128")

pytestmark = pytest.mark.slow


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    example("shapes").write(folder)
    return folder


def trained(task: str, shapes: Path) -> tuple[str, ...]:
    """Arguments of the command line for a net that was trained once."""
    weights = shapes / f"{task}.pt"
    if not weights.exists():
        torch.save(example("tasks").fit(task, shapes).state_dict(), weights)
    return (f"{EXAMPLES / 'tasks.py'}:{task}", "--weights", str(weights))


def compared(out: Path) -> dict[str, float]:
    report = json.loads((out / "report.json").read_text())
    return {v["name"]: v["accuracy"]["metric"]["value"] for v in report["variants"]}


# What each float net reaches here, by a wide margin, and what int8 may lose of it, in units of the metric.
TASKS: dict[str, tuple[str, str, float, float]] = {
    "segmenter": ("segmentation={}", "miou", 75.0, 0.5),
    "regressor": ("csv={}/centres.csv", "mae", 0.14, 0.002),
    "detector": ("coco={}", "map", 25.0, 2.0),
}


@pytest.mark.parametrize("task", TASKS)
def test_int8_keeps_what_the_metric_measures(task: str, shapes: Path, tmp_path: Path) -> None:
    data, metric, reached, lost = TASKS[task]
    asked = (*trained(task, shapes), "--data", data.format(shapes), "--metric", metric, *QUICK)
    done = fxpasses("quantize", *asked, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    found = compared(tmp_path / "out")
    sign = -1 if metric == "mae" else 1
    assert sign * (found["torch fp32"] - reached) > 0
    for runtime in ("torch", "onnxruntime"):
        assert sign * (found["torch fp32"] - found[f"{runtime} int8"]) <= lost


@pytest.mark.parametrize("task", ["segmenter", "regressor"])
def test_pruning_stays_within_the_budget(task: str, shapes: Path, tmp_path: Path) -> None:
    data, metric, _, _ = TASKS[task]
    budget = 2.0 if metric == "miou" else 0.01
    asked = (*trained(task, shapes), "--data", data.format(shapes), "--metric", metric, *QUICK, "--eval", "60")
    done = fxpasses("prune", *asked, "--max-drop", str(budget), "--quantize", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    found = compared(tmp_path / "out")
    sign = -1 if metric == "mae" else 1
    assert 0 < sign * (found["dense torch fp32"] - found["torch fp32"]) + budget <= 2 * budget
    assert json.loads((tmp_path / "out" / "ratio_search.json").read_text())["ratio"] > 0


def test_a_search_keeps_to_a_budget_of_error(shapes: Path, tmp_path: Path) -> None:
    data, metric, _, _ = TASKS["regressor"]
    asked = (*trained("regressor", shapes), "--data", data.format(shapes), "--metric", metric, *QUICK)
    done = fxpasses("quantize", *asked, "--max-drop", "0.0005", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    search: dict[str, Any] = json.loads((tmp_path / "out" / "search.json").read_text())
    (chosen,) = (trial for trial in search["trials"] if trial["chosen"])
    assert (search["measured"], search["unit"]) == ("mae", "")
    assert chosen["score"]["metric"] - search["fp32"]["metric"] == pytest.approx(chosen["drop"])
    assert chosen["drop"] <= 0.0005
    assert all(trial["holds"] is (trial["drop"] <= 0.0005 + 1e-9) for trial in search["trials"])


def test_the_text_net_by_f1(data_dir: Path, tmp_path: Path) -> None:
    weights, data = tmp_path / "text.pt", f"sst2={data_dir / 'sst2'}"
    assert fxpasses("train", "text_bag", "--data", data, "--epochs", "3", "--out", weights, "--threads", "1").code == 0
    asked = ("text_bag", "--weights", str(weights), "--data", data, "--metric", "f1", *QUICK)
    done = fxpasses("quantize", *asked, "--out", tmp_path / "int8")
    assert done.code == 0, done.err
    found = compared(tmp_path / "int8")
    assert found["torch fp32"] > 75
    assert abs(found["torch fp32"] - found["onnxruntime int8"]) <= 0.5
    done = fxpasses("prune", *asked, "--max-drop", "1", "--out", tmp_path / "small")
    assert done.code == 0, done.err
    small = compared(tmp_path / "small")
    assert small["dense torch fp32"] - small["torch fp32"] <= 1
