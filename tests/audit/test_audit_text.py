"""An audit on the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from qdq_models import conv_net
from rich.console import Console

from fxpasses.audit.audit_file import AuditReport, Disagreement, FloatOperator, audit
from fxpasses.audit.observed import Leftover
from fxpasses.audit.text import audit_text


@pytest.fixture
def good(tmp_path: Path) -> AuditReport:
    path = tmp_path / "model.onnx"
    onnx.save(conv_net(**{"fxpasses.target": "x86-avx2"}), path)
    return replace(audit(path), path="model.onnx", onnxruntime="1.0", warnings=[])


def printed(report: AuditReport) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(audit_text(report))
    return captured.get()


def test_a_good_report(good: AuditReport) -> None:
    lines = printed(good).splitlines()
    assert lines[0] == "model.onnx"
    assert lines[1] == "QDQ, opset 17, target x86-avx2; onnxruntime 1.0, CPU"
    assert lines[2] == "✓ int8 throughout: 8 operators on integers, none that multiplies in float"
    assert any(line.split() == ["QLinearConv", "2"] for line in lines)
    assert "in float" not in "\n".join(lines[3:])


def test_operators_with_one_reason_share_a_row(good: AuditReport) -> None:
    heavy = [FloatOperator(f"conv{n}", "Conv", f"read by Relu 'relu{n}', not by a QuantizeLinear") for n in range(5)]
    lines = printed(replace(good, float_heavy=heavy)).splitlines()
    assert lines[2] == "✗ not int8 throughout: 5 operators that multiply are in float"
    [row] = [line for line in lines if "read by Relu" in line]
    assert row.split() == "Conv 5 read by Relu, not by a QuantizeLinear conv0, conv1, conv2, … 2 more".split()


def test_many_reasons_are_cut_short(good: AuditReport) -> None:
    light = [FloatOperator(f"n{n}", f"Op{n}", "no rule") for n in range(15)]
    text = printed(replace(good, float_light=light))
    assert "Op11" in text
    assert "Op12" not in text
    assert "3 more reasons; the JSON report has all" in text


def test_leftovers_disagreements_and_notes(good: AuditReport) -> None:
    left = Leftover("QuantizeLinear", "q", ("Erf",), ("QLinearConv",), True, "Erf has no int8 rule")
    text = printed(
        replace(
            good,
            qdq_between_int8=[left],
            predicted_but_not_fused=[Disagreement("a", "Conv", "QLinearConv", "Conv in float")],
            fused_but_not_predicted=[Disagreement("b", "Mul", "float: why", "QLinearMul")],
            wrong_numbers=["Gemm 'g': its bias"],
            warnings=["target x86: no VNNI [here]"],
        )
    )
    assert "Q/DQ between integers" in text
    assert "Erf has no int8 rule" in text
    assert "predicted to be fused, but was not" in text
    assert "Conv 'a'" in text
    assert "fused, though not predicted" in text
    assert "Mul 'b'" in text
    assert "wrong: Gemm 'g': its bias" in text
    assert "note: target x86: no VNNI [here]" in text


def test_a_float_model_is_not_listed(good: AuditReport) -> None:
    report = replace(good, kind="float", int8_ops={}, float_heavy=[FloatOperator("c", "Conv", "why")])
    assert "multiplying" not in printed(report)
