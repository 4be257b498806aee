"""The commands that read a folder of ``quantize``, and those that make one."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import onnx
import pytest
import torch
from cli_runs import SMALL, command, copied, fxpasses, quickstart, tree

from fxpasses.export.pt2.save_and_load import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of artifacts that a test may change."""
    return copied(quickstart()[0], tmp_path)


def test_parity_holds_and_updates_the_report(folder: Path) -> None:
    done = fxpasses("parity", folder, "--images", "20", "--node-images", "2", "--threads", "1")
    assert done.code == 0, done.err
    parity = json.loads((folder / "report.json").read_text())["parity"]
    assert parity["images"] == 20
    assert parity["node_images"] == 2
    assert "100.0 %" in done.out


def test_parity_notices_another_weight(folder: Path) -> None:
    """One int8 weight of the first layer becomes another: the integers cannot agree."""
    model = onnx.load(folder / "model.int8.onnx")
    weight = next(t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0] = -values[0]
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, folder / "model.int8.onnx")
    done = fxpasses("parity", folder, "--images", "20", "--threads", "1", "--json", "-")
    assert done.code == 1
    assert json.loads(done.out)["max_lsb_at_any_node"] > 1
    assert "LSB, 1 are promised" in done.err


@pytest.mark.slow
def test_parity_compares_with_the_machine_that_made_the_folder(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    cpu = report["integers"]["cpu"]
    assert f"the same integers as on {cpu} (4 images)" in fxpasses("parity", folder, "--images", "8").out
    report["integers"]["sha256"] = "0" * 64
    (folder / "report.json").write_text(json.dumps(report))
    done = fxpasses("parity", folder, "--images", "8")
    assert done.code == 1 and f"other integers than on {cpu}" in done.out


def test_parity_without_the_data_uses_the_images_of_the_folder(folder: Path, tmp_path: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    report["data_details"]["spec"] = f"images={tmp_path / 'elsewhere'}"
    (folder / "report.json").write_text(json.dumps(report))
    done = fxpasses("parity", folder, "--json", "-")
    assert done.code == 0, done.err
    assert json.loads(done.out)["images"] == 4
    (folder / "integers.npz").unlink()
    gone = fxpasses("parity", folder)
    assert gone.code == 2 and "elsewhere" in gone.err


@pytest.mark.slow
def test_parity_on_other_data(folder: Path) -> None:
    done = fxpasses("parity", folder, "--data", "random=1x8x8", "--images", "8", "--json", "-", "--threads", "1")
    assert done.code == 0, done.err
    assert json.loads(done.out)["images"] == 8


@pytest.mark.slow
def test_bench_measures_every_setting_and_keeps_the_rest(folder: Path) -> None:
    before = json.loads((folder / "report.json").read_text())
    done = fxpasses("bench", folder, "--batch", "1,3", "--threads", "1", "--runs", "5")
    assert done.code == 0, done.err
    after = json.loads((folder / "report.json").read_text())
    assert [v["name"] for v in after["variants"]] == [v["name"] for v in before["variants"]]
    for variant, old in zip(after["variants"], before["variants"], strict=True):
        settings = [(entry["batch"], entry["threads"]) for entry in variant["latency"]]
        assert settings == [(1, 1), (3, 1)]
        assert {k: v for k, v in variant.items() if k != "latency"} == {k: v for k, v in old.items() if k != "latency"}


@pytest.mark.slow
def test_bench_without_the_float_model_leaves_it_out_and_says_so(folder: Path) -> None:
    (folder / "digits_cnn.pt").unlink()
    done = fxpasses("bench", folder, "--runs", "5", "--json", "-")
    assert done.code == 0, done.err
    assert "note: torch fp32 is left out: cannot open" in done.err
    runs = {v["name"]: v["latency"][0]["runs"] for v in json.loads(done.out)["variants"]}
    assert runs["onnxruntime int8"] == 5
    assert runs["torch fp32"] == 50  # as quickstart measured it


@pytest.mark.slow
def test_bench_refuses_weights_that_are_not_those_quantized(folder: Path) -> None:
    state = torch.load(folder / "digits_cnn.pt", weights_only=True)
    torch.save({name: value * 2 for name, value in state.items()}, folder / "digits_cnn.pt")
    done = fxpasses("bench", folder, "--runs", "5")
    assert done.code == 0
    assert "torch fp32 is left out" in done.err
    assert "has changed" in done.err


def test_audit_of_a_folder_and_of_a_file(folder: Path) -> None:
    of_folder, of_file = fxpasses("audit", folder), fxpasses("audit", folder / "model.int8.onnx")
    assert (of_folder.code, of_file.code) == (0, 0)
    assert "int8 throughout" in of_folder.out
    assert of_folder.out == of_file.out


def test_audit_of_a_float_file_says_no(folder: Path) -> None:
    done = fxpasses("audit", folder / "model.fp32.onnx", "--json", "-")
    assert done.code == 1
    assert json.loads(done.out)["ok"] is False


def test_doctor_writes_json(tmp_path: Path) -> None:
    done = fxpasses("doctor", "--json", tmp_path / "doctor.json")
    found = json.loads((tmp_path / "doctor.json").read_text())
    assert done.code == (0 if found["ok"] else 1)
    assert "onnxruntime" in found["environment"]["versions"]
    assert "targets" in done.out


@pytest.mark.slow
def test_train_then_quantize_in_every_other_way(tmp_path: Path) -> None:
    """Weights from ``train``; QOperator, an observer for one layer, a layer in float, JSON on stdout."""
    weights, out = tmp_path / "digits.pt", tmp_path / "out"
    trained = fxpasses(
        *("train", "digits_cnn", "--data", "digits", "--out", weights, "--epochs", "2", "--threads", "1"),
        *("--json", "-"),
    )
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["top1"] > 80
    done = fxpasses(
        *("quantize", *SMALL, "--weights", weights, "--out", out, "--json", "-", "--form", "qoperator"),
        *("--observer", "minmax", "--observer", "conv2d=percentile:99.9", "--keep-float", "linear"),
    )
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report == json.loads((out / "report.json").read_text())
    assert report["recipe"]["observer"] == "minmax"
    assert [o["match"] for o in report["recipe"]["overrides"]] == ["conv2d", "linear"]
    assert any("kept in float by an override" in str(layer.get("why")) for layer in report["layers"])
    assert report["audit"]["kind"] == "QOperator"


def test_a_failure_leaves_the_files_of_before(folder: Path) -> None:
    before = tree(folder)
    done = fxpasses("quantize", *SMALL, "--keep-float", "no_such_layer", "--out", folder)
    assert done.code == 2
    assert tree(folder) == before


@pytest.mark.slow
def test_exact_writes_an_exact_recipe(tmp_path: Path) -> None:
    done = fxpasses("quantize", *SMALL, "--exact", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "out" / "report.json").read_text())["recipe"]["exact"] is True
    assert load(tmp_path / "out" / "model.int8.pt2") is not None
    parity = fxpasses("parity", tmp_path / "out", "--images", "20")
    assert parity.code == 0, parity.out


def test_view_serves_until_ctrl_c() -> None:
    process = subprocess.Popen(
        command("view", quickstart()[0], "--no-browse"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[0]
    with urllib.request.urlopen(address) as page:
        assert b"netron" in page.read().lower()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_view_refuses_what_has_no_graph(tmp_path: Path) -> None:
    done = fxpasses("view", tmp_path / "absent.onnx", "--no-browse")
    assert done.code == 2
    assert "there is no such file" in done.err
