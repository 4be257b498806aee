"""``--metric`` of the command line: names, outputs, the caller's own; measured by every command, in its direction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses, is_refused
from task_nets import task_file as task_file

from fxpasses.cli.folders.fitting import fitted
from fxpasses.cli.options.metric import metric_of
from fxpasses.errors import InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.zoo import load_model

SMALL = ("--calib", "16", "--eval", "24", "--threads", "1", "--no-bench")


@pytest.mark.parametrize(
    ("spec", "index", "key"), [("miou", 0, "out"), ("miou@aux", 1, "aux"), ("miou@1", 1, "aux"), ("top1@out", 0, "out")]
)
def test_a_metric_is_of_one_output(task_file: Path, spec: str, index: int, key: str) -> None:
    metric = metric_of(spec, load_model(f"{task_file}:segmenter"))
    assert metric is not None
    assert (metric.index, metric.key) == (index, key)


def test_without_a_metric_there_is_none(task_file: Path) -> None:
    assert metric_of(None, load_model(f"{task_file}:regressor")) is None


def test_a_function_is_a_mean_over_samples(task_file: Path) -> None:
    metric = metric_of(f"{task_file}:worst", load_model(f"{task_file}:regressor"))
    assert metric is not None
    assert (metric.falls, metric.title, metric.reads_all) == (True, "worst", False)
    sums = metric.start()
    sums.add(torch.zeros(1, 1), torch.tensor([4.0]))
    sums.add(torch.zeros(3, 1), torch.tensor([0.0, 8, 0]))
    assert sums.value() == pytest.approx((4 + 3 * 8) / 4)


def test_an_object_keeps_its_own_sums(task_file: Path) -> None:
    metric = metric_of(f"{task_file}:Seen", load_model(f"{task_file}:regressor"))
    assert metric is not None
    sums = metric.start()
    sums.add(torch.zeros(3), torch.zeros(3))
    sums.add(torch.zeros(2), torch.zeros(2))
    assert sums.value() == 5.0
    another = metric.start()  # another model begins anew
    another.add(torch.zeros(1), torch.zeros(1))
    assert another.value() == 1.0


def test_a_function_gets_all_outputs_or_the_one_named(task_file: Path) -> None:
    model, data = load_model(f"{task_file}:segmenter"), torch.zeros(5, 1, 8, 8)
    for spec, expected in ((f"{task_file}:outputs", 2), (f"{task_file}:outputs@aux", 5)):
        metric = metric_of(spec, model)
        assert metric is not None
        with torch.no_grad():
            found = tuple(model.module(data).values())
        sums = metric.start()
        sums.add(metric.measured(found), None)
        assert sums.value() == expected


def measured_once(spec: str, model: LoadedModel) -> float:
    metric = metric_of(spec, model)
    assert metric is not None
    sums = metric.start()
    sums.add(torch.zeros(2, 1), torch.zeros(2))
    return sums.value()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("undirected", r"(?s)does not say which way is better.*undirected\.higher_is_better = False"),
        ("breaks", r"(?s)metric .*:breaks failed.*ZeroDivisionError"),
        ("text", r"(?s)gave 'good'.*no finite number"),
        ("number", r"(?s)gave a int.*update\(output, labels\)"),
        ("nothing", "has no function 'nothing'"),
    ],
)
def test_what_is_no_metric_is_told(task_file: Path, function: str, message: str) -> None:
    model = load_model(f"{task_file}:regressor")
    with pytest.raises(InputError, match=message):
        measured_once(f"{task_file}:{function}", model)


def test_labels_of_any_shape_need_a_metric(task_file: Path) -> None:
    model = load_model(f"{task_file}:regressor")
    data = open_dataset(f"{task_file}:brightness", model)
    with pytest.raises(InputError, match=r"(?s)not whole numbers.*`metric=.mse.`"):
        list(fitted(model, data).evaluation())
    with_metric = fitted(model, data, metric_of("mse", model))
    assert [labels.dtype for _, labels in with_metric.evaluation(20)] == [torch.float32] * 2


def test_quantize_reports_a_regressor_by_its_error(task_file: Path, tmp_path: Path) -> None:
    specs = (f"{task_file}:regressor", "--data", f"{task_file}:brightness")
    done = fxpasses("quantize", *specs, *SMALL, "--metric", "mse", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "less is better" in done.out
    assert "top-1   " not in done.out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    found = {v["name"]: v["accuracy"]["metric"] for v in report["variants"]}
    assert found["torch int8"]["value"] == pytest.approx(found["torch fp32"]["value"], abs=0.01)
    assert (found["torch int8"]["falls"], found["torch int8"]["output"]) == (True, "output")
    assert report["data_details"]["metric"] == "mse"
    assert report["variants"][1]["vs_fp32"]["top1_agreement"] is None
    assert "mse" in (tmp_path / "out" / "report.html").read_text()
    assert fxpasses("parity", tmp_path / "out", "--images", "8").code == 0


@pytest.mark.slow
def test_max_drop_is_in_units_of_the_metric(task_file: Path, tmp_path: Path) -> None:
    specs = (f"{task_file}:regressor", "--data", f"{task_file}:brightness", "--metric", "mse")
    done = fxpasses(
        "prune",
        *specs,
        "--eval",
        "24",
        "--threads",
        "1",
        "--no-bench",
        "--max-drop",
        "0.002",
        "--out",
        tmp_path / "out",
    )
    assert done.code == 0, done.err
    assert "mse of the 0.002 allowed" in done.out
    found = json.loads((tmp_path / "out" / "ratio_search.json").read_text())
    assert found["drop"] <= 0.002
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    values = {v["name"]: v["accuracy"]["metric"]["value"] for v in report["variants"]}
    assert values["torch fp32"] - values["dense torch fp32"] == pytest.approx(found["drop"], abs=1e-5)


@pytest.mark.slow
def test_sensitivity_of_a_second_output(task_file: Path, tmp_path: Path) -> None:
    specs = (f"{task_file}:segmenter", "--data", f"{task_file}:masks", "--metric", "miou@aux")
    done = fxpasses(
        "sensitivity", *specs, "--images", "16", "--node-images", "8", "--threads", "1", "--out", tmp_path / "o"
    )
    assert done.code == 0, done.err
    assert "mIoU of aux" in done.out
    document = json.loads((tmp_path / "o" / "sensitivity.json").read_text())
    assert document["metric"]["output"] == "aux"
    # `out` is no part of what is measured: rounding it alone changes nothing.
    assert document["fp32"]["metric"] > 0
    assert "top-1" not in (tmp_path / "o" / "sensitivity.html").read_text().replace("top-1 or the metric", "").replace(
        "top-1 in points", ""
    )


def test_an_unknown_metric_is_refused(task_file: Path, tmp_path: Path) -> None:
    specs = (f"{task_file}:regressor", "--data", f"{task_file}:brightness", "--metric", "rmse")
    is_refused(fxpasses("quantize", *specs, "--out", tmp_path / "out"), "unknown metric 'rmse'")
