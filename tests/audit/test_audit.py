"""The audit as a whole: its verdict, its warnings, and that it notices when its own rules are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from qdq_cases import Build, conv_case, gemm_case, matmul_case, one
from qdq_models import Graph, conv, conv_net, image, weights

from fxpasses.audit import audit_file as module
from fxpasses.audit import predict as audit_predict
from fxpasses.audit.audit_file import AuditReport, audit
from fxpasses.audit.onnx_graph import OnnxGraph
from fxpasses.audit.rules import RULES, Rule
from fxpasses.errors import InputError


def report_on(model: onnx.ModelProto | Build, folder: Path) -> AuditReport:
    if not isinstance(model, onnx.ModelProto):
        graph = Graph()
        model(graph)
        model = graph.model()
    path = folder / "model.onnx"
    onnx.save(model, path)
    return audit(path)


def test_a_good_network(tmp_path: Path) -> None:
    report = report_on(conv_net(), tmp_path)
    assert report.ok
    assert report.kind == "QDQ"
    assert report.opset == 17
    assert report.target is None
    assert report.summary == "int8 throughout: 8 operators on integers, none that multiplies in float"
    assert [edge.op for edge in report.expected_edges] == ["QuantizeLinear"]
    assert (report.float_heavy, report.float_light, report.qdq_between_int8) == ([], [], [])
    assert (report.wrong_numbers, report.warnings) == ([], [])


def test_a_network_with_everything_wrong(tmp_path: Path) -> None:
    def build(graph: Graph) -> None:
        x = graph.qdq(graph.node("Relu", [conv(graph, image(graph))]))  # zero point 128
        x = graph.qdq(graph.node("Erf", [x]))
        weight, _ = graph.weight(weights(4, 4, 3, 3), axis=1)
        graph.output(graph.qdq(graph.node("Conv", [x, weight])))

    report = report_on(build, tmp_path)
    assert not report.ok
    assert [(found.op, found.name) for found in report.float_heavy] == [("FusedConv", "Conv")]
    assert [found.op for found in report.float_light] == ["Erf"]
    assert [found.op for found in report.qdq_between_int8].count("QuantizeLinear") == 2
    assert len(report.wrong_numbers) == 1
    assert report.summary == (
        "not int8 throughout: 1 operator that multiplies is in float; 4 Q/DQ are left between int8 operators; "
        "1 operator means something else once fused than in the file"
    )


def test_heavy_means_it_multiplies(tmp_path: Path) -> None:
    report = report_on(one("Erf"), tmp_path)
    assert report.float_heavy == []
    assert not report.ok
    assert report.summary == "not int8 throughout: 2 Q/DQ are left between int8 operators"


def test_float_models_are_said_to_be_float(tmp_path: Path) -> None:
    graph = Graph()
    graph.output(graph.node("Conv", [graph.input(1, 4, 8, 8), graph.const(weights(4, 4, 3, 3))]))
    report = report_on(graph.model(), tmp_path)
    assert (report.kind, report.ok) == ("float", False)
    assert report.summary == "a float model: nothing in it is quantized"
    assert (report.predicted_but_not_fused, report.fused_but_not_predicted) == ([], [])


def test_weight_only_models_compute_in_float(tmp_path: Path) -> None:
    graph = Graph()
    weight, _ = graph.weight(weights(4, 4, 3, 3))
    graph.output(graph.node("Conv", [graph.input(1, 4, 8, 8), weight]))
    report = report_on(graph.model(), tmp_path)
    assert (report.kind, report.ok) == ("weight-only", False)
    assert report.summary == "only its weights are integers: it computes in float"


def test_dynamic_models_multiply_integers(tmp_path: Path) -> None:
    graph = Graph()
    graph.output(graph.node("MatMul", [graph.input(2, 16), graph.const(weights(16, 8))]))
    onnx.save(graph.model(), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx", weight_type=QuantType.QInt8)
    report = audit(tmp_path / "dynamic.onnx")
    assert (report.kind, report.ok) == ("dynamic", True)
    assert report.summary == "dynamic quantization: 1 operator multiplies integers, the rest is float"


def qoperator(dtype: type[np.uint8] | type[np.int8]) -> onnx.ModelProto:
    graph = Graph()
    scale, zero = graph.const(np.float32(0.05)), graph.const(dtype(0))
    q = graph.node("QuantizeLinear", [graph.input(1, 4, 8, 8), scale, zero])
    w = graph.const(np.ones((4, 4, 3, 3), np.int8))
    y = graph.node("QLinearConv", [q, scale, zero, w, scale, graph.const(np.int8(0)), scale, zero])
    graph.output(graph.node("DequantizeLinear", [y, scale, zero]))
    return graph.model()


def test_qoperator_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_on(qoperator(np.uint8), tmp_path)
    assert (report.kind, report.ok, report.int8_ops) == ("QOperator", True, {"QLinearConv": 1})
    assert report.warnings == []
    monkeypatch.setattr(module, "is_x86", lambda: True)
    [warning] = report_on(qoperator(np.int8), tmp_path).warnings
    assert warning == "int8 activations: uint8 ones run many times faster on x86 in this format"


def test_the_target_is_read_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = conv_net(**{"fxpasses.target": "x86"})
    monkeypatch.setattr(module, "why_unsuited", lambda target: None)
    report = report_on(model, tmp_path)
    assert (report.target, report.warnings) == ("x86", [])
    monkeypatch.setattr(module, "why_unsuited", lambda target: f"this CPU is no {target}")
    report = report_on(model, tmp_path)
    assert report.warnings == ["target x86: this CPU is no x86"]
    assert report.ok


def test_it_warns_of_what_it_does_not_see(tmp_path: Path) -> None:
    body = Graph()
    body.output(body.node("Neg", ["x"]))
    branch = helper.make_graph(
        body.nodes, "branch", [], [helper.make_tensor_value_info(body.nodes[0].output[0], 1, None)]
    )
    graph = Graph()
    x = graph.input(2)
    condition = graph.node("Greater", [graph.node("ReduceMax", [x], keepdims=0), graph.const(np.float32(0))])
    graph.output(graph.node("If", [condition], then_branch=branch, else_branch=branch))
    assert report_on(graph.model(), tmp_path).warnings == [
        "not looked into: 1 operator with a body of its own (If, Loop, Scan)"
    ]
    graph = Graph()
    half = graph.node("Cast", [graph.input(2)], to=onnx.TensorProto.FLOAT16)
    graph.output(graph.node("Cast", [graph.node("Exp", [half])], to=onnx.TensorProto.FLOAT))
    [warning] = report_on(graph.model(), tmp_path).warnings
    assert "holds float16 tensors" in warning
    [warning] = report_on(conv_case("float"), tmp_path).warnings
    assert "has a float bias" in warning


def test_it_notices_when_a_rule_promises_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "Erf", Rule("QLinearErf", lambda edges, node: None))
    [found] = report_on(one("Erf"), tmp_path).predicted_but_not_fused
    assert (found.name, found.op, found.predicted, found.found) == ("Erf", "Erf", "QLinearErf", "Erf in float")


def test_it_notices_when_a_rule_promises_too_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, "Sigmoid")
    [found] = report_on(one("Sigmoid"), tmp_path).fused_but_not_predicted
    assert (found.op, found.predicted, found.found) == ("Sigmoid", "float: Sigmoid has no int8 rule", "QLinearSigmoid")


def test_a_matmul_with_its_bias_is_one_operator_not_two(tmp_path: Path) -> None:
    report = report_on(matmul_case(add="int32", shape=("N", 16)), tmp_path)
    assert report.int8_ops == {"QGemm": 1}
    assert report.fused_but_not_predicted == []


def test_the_report_is_json(tmp_path: Path) -> None:
    report = report_on(gemm_case(False, bias="float"), tmp_path)
    document = json.loads(json.dumps(report.to_json()))
    assert document["ok"] is False
    assert document["summary"] == report.summary
    assert document["float_heavy"] == [
        {
            "name": "Gemm",
            "op": "Gemm",
            "reason": "its bias is float, not an int32 DequantizeLinear, and its output is float",
        }
    ]
    assert set(document) == {*AuditReport.__dataclass_fields__, "ok", "summary"}


def test_unnamed_operators_have_reasons_too(tmp_path: Path) -> None:
    graph = Graph()
    one("Erf")(graph)
    model = graph.model()
    for node in model.graph.node:
        node.name = ""
    report = report_on(model, tmp_path)
    assert [found.reason for found in report.float_light] == ["Erf has no int8 rule"]


def test_no_verdict_is_lost_between_predicting_and_observing(tmp_path: Path) -> None:
    """Each verdict is confirmed by an operator of that name, or the operator was fused into another."""
    report = report_on(conv_net(), tmp_path)
    fused = sum(report.int8_ops.values())
    verdicts = audit_predict.predict(OnnxGraph(conv_net()))
    assert fused == sum(verdict.fate == "int8" for verdict in verdicts.values())


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        audit(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(InputError, match="is not an ONNX file"):
        audit(tmp_path / "text.onnx")
    graph = Graph()
    graph.output(graph.node("Nonsense", [graph.input(1)]))
    with pytest.raises(InputError, match=r"(?s)refuses .*Nonsense"):
        report_on(graph.model(), tmp_path)
