"""report.json: the keys of the contract are always there, and a file that lacks one is refused with its name."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from stub_runners import StubRunner, latency_entry, sample_parity, sample_report, sample_variant, two_class_logits

from fxpasses.errors import InputError
from fxpasses.measure.accuracy import compare
from fxpasses.measure.benchmark import BenchSettings, benchmark
from fxpasses.measure.model_size import ParameterCount
from fxpasses.reports.document import (
    Variant,
    build_report,
    read_report,
    variant_of,
    why_not_a_report,
    with_variants,
    write_report,
)


def measured_variants() -> list[Variant]:
    runners = [StubRunner("torch fp32", precision="fp32"), StubRunner("torch int8", lambda x: x * 0.9)]
    x = two_class_logits(1, -1)
    compared = compare(runners, [(x, torch.tensor([1, 1]))])
    bench = benchmark(runners, lambda batch: x[:1], BenchSettings(runs=2))
    return [
        variant_of(
            runner,
            size_bytes=10,
            parameters=ParameterCount(3, 2),
            macs=7,
            comparison=compared[runner.name],
            bench=bench,
        )
        for runner in runners
    ]


@pytest.mark.slow
def test_a_report_of_real_measurements_has_every_key_and_is_json(tmp_path: Path) -> None:
    report = build_report(
        model="net",
        data="random=3x8x8",
        target="x86",
        variants=measured_variants(),
        parity=sample_parity(),
        details={"command": "fxpasses quantize net"},
    )
    assert why_not_a_report(report) is None
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == json.loads(json.dumps(report)) == report
    int8 = report["variants"][1]
    assert (int8["size_bytes"], int8["params"], int8["nonzero_params"], int8["macs"]) == (10, 3, 2, 7)
    assert int8["accuracy"] == {"top1": 50.0, "images": 2}
    assert int8["latency"][0]["speedup_vs_fp32"] > 0
    assert report["command"] == "fxpasses quantize net"


def test_what_was_not_measured_is_null_under_its_key() -> None:
    variant = variant_of(StubRunner("torch int8"))
    report = build_report(model="net", data=None, target=None, variants=[variant])
    assert why_not_a_report(report) is None
    assert report["parity"] is None
    assert report["variants"][0]["accuracy"] == {"top1": None, "images": 0}
    assert report["variants"][0]["vs_fp32"] == {"top1_agreement": None, "sqnr_db": None}


def test_details_cannot_hide_the_contract() -> None:
    with pytest.raises(AssertionError, match="model"):
        build_report(model="net", data=None, target=None, variants=[], details={"model": "other"})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("parity",), "it lacks parity"),
        (("environment", "cpu"), "environment lacks cpu"),
        (("variants", 1, "macs"), r"variants\[1\] lacks macs"),
        (("variants", 0, "accuracy", "top1"), r"variants\[0\].accuracy lacks top1"),
        (("variants", 0, "vs_fp32", "sqnr_db"), r"variants\[0\].vs_fp32 lacks sqnr_db"),
        (("variants", 3, "latency", 0, "p99_ms"), r"variants\[3\].latency\[0\] lacks p99_ms"),
        (("parity", "max_lsb"), "parity lacks max_lsb"),
    ],
)
def test_a_missing_key_is_named(path: tuple[str | int, ...], message: str, tmp_path: Path) -> None:
    report = sample_report()
    part: Any = report
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(InputError, match=f"is not a report\n.*{message}"):
        read_report(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it is a list, not an object"),
        ('{"variants": ', "is not JSON"),
        (json.dumps(sample_report(variants={})), "variants is no list"),
        (json.dumps(sample_report(variants=[sample_variant("tflite", "int8")])), "has the runtime 'tflite'"),
    ],
)
def test_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_report(tmp_path / "report.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*report\.json"):
        read_report(tmp_path / "report.json")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot read .*report\.json"):
        read_report(tmp_path / "report.json")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_report(tmp_path)


def test_new_measurements_take_over_and_old_ones_stay() -> None:
    old = sample_report()
    before = copy.deepcopy(old)
    again = Variant("onnxruntime int8", "onnxruntime", "int8", latency=[latency_entry(0.5)])
    added = Variant("torch bf16", "torch", "bf16", size_bytes=5)
    merged = with_variants(old, [again, added])
    assert old == before
    assert [v["name"] for v in merged["variants"]] == [*(v["name"] for v in old["variants"]), "torch bf16"]
    int8 = merged["variants"][3]
    assert int8["latency"][0]["p50_ms"] == 0.5
    assert int8["accuracy"] == old["variants"][3]["accuracy"]
    assert int8["vs_fp32"]["sqnr_db"] == 30.5
    assert int8["size_bytes"] == 300_000
    assert why_not_a_report(merged) is None
