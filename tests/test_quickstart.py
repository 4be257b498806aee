"""``fxpasses quickstart``, run once in the way of a new user."""

from __future__ import annotations

import json

from cli_runs import quickstart

from fxpasses.agreement.promise import why_broken

FILES = {
    *("model.fp32.onnx", "model.int8.onnx", "model.int8.pt2", "integers.npz", "report.json", "report.html"),
    "digits_cnn.pt",
}
LOWEST_TOP1 = 97.0
"""Least top-1 in percent of 359 digits: the net reaches 99; chance is 10."""
LOWEST_SQNR_DB = 25.0
"""Least SQNR: 8 bits over a range give about 40 dB per tensor; a broken scale gives less than 10."""


def test_succeeds_and_is_silent_where_nobody_watches() -> None:
    _, run = quickstart()
    assert run.code == 0, run.err
    assert run.err == ""


def test_all_files_are_there_and_nothing_else() -> None:
    folder, _ = quickstart()
    assert {file.name for file in folder.iterdir()} == FILES


def test_says_what_to_do_next() -> None:
    folder, run = quickstart()
    for said in ("report.html", "fxpasses view", f"fxpasses parity {folder}", "fxpasses quantize"):
        assert said in run.out


def test_the_net_has_learned_and_int8_keeps_it() -> None:
    folder, _ = quickstart()
    variants = {v["name"]: v for v in json.loads((folder / "report.json").read_text())["variants"]}
    assert list(variants) == ["torch fp32", "torch int8", "onnxruntime fp32", "onnxruntime int8"]
    assert variants["torch fp32"]["accuracy"]["top1"] >= LOWEST_TOP1
    for name in ("torch int8", "onnxruntime int8"):
        assert variants[name]["accuracy"]["top1"] >= LOWEST_TOP1
        assert variants[name]["vs_fp32"]["sqnr_db"] >= LOWEST_SQNR_DB
        assert variants[name]["size_bytes"] < variants["torch fp32"]["size_bytes"]
    assert all(v["latency"][0]["mean_ms"] > 0 for v in variants.values())


def test_both_runtimes_give_the_same_integers() -> None:
    folder, _ = quickstart()
    parity = json.loads((folder / "report.json").read_text())["parity"]
    assert parity["images"] == 64
    assert why_broken(parity, exact=True) == []


def test_the_report_can_be_made_again_from_what_it_says() -> None:
    folder, _ = quickstart()
    report = json.loads((folder / "report.json").read_text())
    assert report["command"].startswith("fxpasses quickstart")
    assert report["model_details"]["weights"] == "digits_cnn.pt"
    assert report["data_details"]["calibration_images"] == 256
    assert report["audit"]["ok"] is True
