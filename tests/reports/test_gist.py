"""The gist of a report: gains, losses and next steps, in words that the numbers bear out."""

from __future__ import annotations

import copy
from typing import Any

from stub_runners import sample_parity, sample_report

from fxpasses.reports.gist import Gist, gist_of, why_not_faster


def gist(report: dict[str, Any]) -> Gist:
    found = gist_of(report)
    assert found is not None
    return found


def with_speed(ratio: float, **changes: Any) -> dict[str, Any]:
    """A report whose int8 variants are that many times as fast as float."""
    report = copy.deepcopy(sample_report(**changes))
    for variant in report["variants"]:
        for entry in variant["latency"]:
            if variant["precision"] == "int8":
                entry |= {"speedup_vs_fp32": ratio, "speedup_quartiles": [ratio, ratio]}
    return report


def test_a_good_run_is_to_be_deployed() -> None:
    found = gist(with_speed(2.5))
    assert "The file is 4.00 times smaller: 300 kB instead of 1.20 MB." in found.gains
    assert any(line.startswith("It is 2.50 times as fast as fp32 in ONNX Runtime") for line in found.gains)
    assert "PyTorch and ONNX Runtime compute the same integers, bit for bit." in found.gains
    assert found.losses == ("top-1 becomes 91.2 %: −0.3 points against fp32, on 1000 inputs.",)
    assert [line.split()[0] for line in found.next_steps] == ["Deploy"]


def test_the_file_of_the_whole_model_is_deployed_not_that_of_its_layers() -> None:
    report = with_speed(2.5) | {"deploy": "detector.int8.onnx"}
    assert gist(report).next_steps == ("Deploy detector.int8.onnx.",)


def test_a_metric_of_all_outputs_is_called_by_its_name() -> None:
    about = {"name": "map", "title": "mAP", "unit": "%", "falls": False, "output": "all"}
    report = with_speed(2.5)
    for variant in report["variants"]:
        variant["accuracy"] = {"top1": None, "images": 32, "metric": about | {"value": 65.0}}
    assert gist(report).losses == ("Nothing in mAP: 65.0 %, ±0.0 points against fp32, on 32 inputs.",)


def test_a_slow_one_is_not() -> None:
    found = gist(with_speed(0.5))
    assert any("2.00 times as long as fp32 in ONNX Runtime" in line for line in found.losses)
    assert any("why int8 is not faster" in line for line in found.next_steps)
    assert not any(line.startswith("Deploy") for line in found.next_steps)


def test_one_as_fast_as_float_gains_no_time() -> None:
    found = gist(with_speed(1.02))
    assert any("no faster than fp32" in line for line in found.losses)
    assert not any("as fast" in line for line in found.gains)


def test_other_integers_are_no_gain_and_come_first() -> None:
    found = gist(with_speed(2.0, parity=sample_parity(max_lsb=9, max_lsb_at_any_node=9, first_divergence="conv")))
    assert not any("same integers" in line for line in found.gains)
    assert found.next_steps[0].startswith("Mend what is wrong first")


def test_accuracy_that_is_lost_is_looked_for() -> None:
    report = with_speed(2.0)
    for variant in report["variants"]:
        if variant["precision"] == "int8":
            variant["accuracy"]["top1"] = 80.0
    assert any("fxpasses sensitivity" in line for line in gist(report).next_steps)


def test_without_labels_agreement_speaks() -> None:
    report = with_speed(2.0)
    for variant in report["variants"]:
        variant["accuracy"]["top1"] = None
        variant["vs_fp32"]["top1_agreement"] = 90.0
    assert gist(report).losses == ("It says another class than fp32 on 10.0 % of 1000 inputs.",)


def test_float_alone_has_none() -> None:
    report = sample_report()
    report["variants"] = [v for v in report["variants"] if v["precision"] == "fp32"]
    assert gist_of(report) is None


def test_why_it_is_not_faster() -> None:
    assert why_not_faster(with_speed(2.0)) == []
    kernels = {"torch": "AVX2 exact", "onnxruntime": "AVX2 pair-safe"}
    heavy = [{"op": "Conv", "name": "c", "reason": "its weight is computed"}]
    found = why_not_faster(with_speed(0.9, kernels=kernels, audit={"ok": False, "summary": "x", "float_heavy": heavy}))
    assert found[0].startswith("1 operator that multiply") or found[0].startswith("1 operator")
    assert any("AVX2 pair-safe" in line for line in found)
    assert why_not_faster(with_speed(0.9, kernels={"onnxruntime": "SDOT"}))


def test_random_weights_are_replaced_first() -> None:
    details = sample_report()["model_details"] | {"pretrained": False}
    assert gist(with_speed(2.0, model_details=details)).next_steps[0].startswith("Give trained weights")
