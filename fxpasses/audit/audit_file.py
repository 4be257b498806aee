"""Report which operators onnxruntime really computes in int8 in an ONNX file, which it leaves in float, and why.

The result is obtained in two ways. It is *predicted* from onnxruntime's rules, which gives the reasons, and *observed*
in the graph that onnxruntime itself writes after optimization, which gives the facts. The report lists differences:
they mean that our rules are wrong for this version of onnxruntime.

Only the CPU provider and the outermost graph (no bodies of If and Loop) are examined. No values are computed: parity
checks whether the integers are right.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from fxpasses.cpu import is_x86
from fxpasses.export.exact_sums import options_of_file
from fxpasses.export.onnx_reader import METADATA_TARGET, read_onnx
from fxpasses.machine.environment import installed_version, why_unsuited

from .observed import (
    HEAVY,
    WEIGHT_ONLY,
    Leftover,
    Reasons,
    count_integer_operators,
    float_operators,
    leftovers,
    named_model,
    optimized_by_onnxruntime,
    original_name,
)
from .onnx_graph import FLOAT16, INT8, OnnxGraph
from .predict import Verdict, double_pairs, own_quantization, predict

Kind = Literal["float", "QDQ", "QOperator", "dynamic", "weight-only"]


@dataclass(frozen=True)
class FloatOperator:
    """An operator that computes in float, and the reason."""

    name: str
    op: str
    reason: str


@dataclass(frozen=True)
class Disagreement:
    """An operator that onnxruntime treated otherwise than predicted by the rules."""

    name: str
    op: str
    predicted: str
    found: str


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit of one file.

    Attributes:
        path: of the file.
        kind: how it is quantized.
        opset: of its operators.
        onnxruntime: the version that loaded it.
        target: that the file names; None where it names none.
        int8_ops: how often each operator computes on 8-bit integers.
        float_heavy: matrix products and convolutions left in float.
        float_light: the other operators in float.
        qdq_between_int8: every QuantizeLinear and DequantizeLinear left with integers on both sides.
        expected_edges: those at the entrance and the exit of the integers.
        wrong_numbers: operators that are fused, but to something else than the file means.
        warnings: what else to know.
        session_options: the session config entries it needs on x86 CPUs without VNNI, so that sums do not saturate.
        predicted_but_not_fused: where the rules expected int8 and onnxruntime computes in float.
        fused_but_not_predicted: where the rules expected float and onnxruntime computes in int8.
    """

    path: str
    kind: Kind
    opset: int
    onnxruntime: str
    target: str | None
    int8_ops: dict[str, int]
    float_heavy: list[FloatOperator]
    float_light: list[FloatOperator]
    qdq_between_int8: list[Leftover]
    expected_edges: list[Leftover]
    wrong_numbers: list[str]
    warnings: list[str]
    session_options: dict[str, str]
    predicted_but_not_fused: list[Disagreement]
    fused_but_not_predicted: list[Disagreement]

    @property
    def ok(self) -> bool:
        """Whether no product is in float, no Q/DQ is between integers, and no fused operator computes wrong values."""
        return bool(self.int8_ops) and not (self.float_heavy or self.qdq_between_int8 or self.wrong_numbers)

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        if self.kind == "float":
            return "a float model: nothing in it is quantized"
        if self.kind == "weight-only":
            return "only its weights are integers: it computes in float"
        if self.ok and self.kind == "dynamic":
            found = _counted(sum(self.int8_ops.values()), "operator multiplies", "operators multiply")
            return f"dynamic quantization: {found} integers, the rest is float"
        if self.ok:
            found = _counted(sum(self.int8_ops.values()), "operator", "operators")
            return f"int8 throughout: {found} on integers, none that multiplies in float"
        than = " once fused than in the file" if self.wrong_numbers else ""
        heavy, left, wrong = len(self.float_heavy), len(self.qdq_between_int8), len(self.wrong_numbers)
        troubles = (
            _counted(heavy, "operator that multiplies is in float", "operators that multiply are in float"),
            _counted(left, "Q/DQ is left between int8 operators", "Q/DQ are left between int8 operators"),
            _counted(wrong, "operator means something else", "operators mean something else") + than,
        )
        return "not int8 throughout: " + ("; ".join(filter(None, troubles)) or "no operator computes on integers")

    def __repr__(self) -> str:
        """``AuditReport(model.int8.onnx: int8 throughout: 12 operators on integers, ...)``."""
        return f"AuditReport({self.path}: {self.summary})"

    def to_json(self) -> dict[str, object]:
        """The whole report, with ``ok`` and ``summary``, ready for JSON."""
        return {**asdict(self), "ok": self.ok, "summary": self.summary}


def _counted(count: int, one: str, many: str) -> str:
    """Text such as ``2 apples``; empty for 0."""
    return f"{count} {one if count == 1 else many}" if count else ""


def audit(path: Path, threads: int = 1) -> AuditReport:
    """Audit one ONNX file.

    Raises:
        InputError: the file is absent, not ONNX or cut short, or onnxruntime refuses it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        model, named = named_model(path, Path(scratch))
        optimized = optimized_by_onnxruntime(named, threads)  # it also checks inputs and outputs of every operator
        graph = OnnxGraph(model)
    verdicts = predict(graph)
    reasons = Reasons(graph, {name: verdict.reason for name, verdict in verdicts.items() if verdict.reason})
    floats = [FloatOperator(node.name, node.op, reasons.of(node, optimized)) for node in float_operators(optimized)]
    left = leftovers(optimized, reasons)
    kind = _kind(graph, optimized)
    return AuditReport(
        path=str(path),
        kind=kind,
        opset=graph.opset,
        onnxruntime=installed_version("onnxruntime") or "unknown",
        target=graph.metadata.get(METADATA_TARGET),
        int8_ops=count_integer_operators(optimized),
        float_heavy=[found for found in floats if found.op in HEAVY],
        float_light=[found for found in floats if found.op not in HEAVY],
        qdq_between_int8=[found for found in left if found.between_int8],
        expected_edges=[found for found in left if not found.between_int8],
        wrong_numbers=_wrong_numbers(graph, verdicts),
        warnings=_warnings(graph, kind),
        session_options={} if kind == "float" else options_of_file(read_onnx(path)),
        **_disagreements(verdicts, optimized, kind),
    )


def _kind(graph: OnnxGraph, optimized: OnnxGraph) -> Kind:
    """The kind of quantization in the file."""
    if any(True for _ in graph.of("DynamicQuantizeLinear", "DynamicQuantizeMatMul")):
        return "dynamic"
    if any(node.op.startswith("QLinear") or node.op == "QGemm" for node in graph.nodes):
        return "QOperator"
    if any(True for _ in graph.of("QuantizeLinear")):
        return "QDQ"
    if any(True for _ in graph.of("DequantizeLinear")) or any(node.op in WEIGHT_ONLY for node in optimized.nodes):
        return "QDQ" if count_integer_operators(optimized) else "weight-only"
    return "float"


def _wrong_numbers(graph: OnnxGraph, verdicts: dict[str, Verdict]) -> list[str]:
    found = [f"{verdict}: {verdict.trouble}" for verdict in verdicts.values() if verdict.trouble]
    return found + double_pairs(graph)


def _warnings(graph: OnnxGraph, kind: Kind) -> list[str]:
    found = []
    target = graph.metadata.get(METADATA_TARGET)
    unsuited = why_unsuited(target) if target else None
    if unsuited:
        found.append(f"target {target}: {unsuited}")
    if kind == "QOperator" and is_x86() and _has_signed_activations(graph):
        found.append("int8 activations: uint8 ones run many times faster on x86 in this format")
    if FLOAT16 in graph.types.values():
        found.append("holds float16 tensors: onnxruntime's CPU provider converts them to float32 and back")
    if graph.bodies:
        bodies = _counted(graph.bodies, "operator with a body of its own", "operators with bodies of their own")
        found.append(f"not looked into: {bodies} (If, Loop, Scan)")
    return found + own_quantization(graph)


def _has_signed_activations(graph: OnnxGraph) -> bool:
    return any(graph.types.get(node.input(0)) == INT8 for node in graph.of("QLinearConv", "QLinearMatMul", "QGemm"))


def _disagreements(
    verdicts: dict[str, Verdict], optimized: OnnxGraph, kind: Kind
) -> dict[Literal["predicted_but_not_fused", "fused_but_not_predicted"], list[Disagreement]]:
    """Differences between rules and facts; operators missing after optimization were merged and do not count."""
    missed: list[Disagreement] = []
    surprising: list[Disagreement] = []
    found = {original_name(node.name): node for node in optimized.nodes if node.name}
    for name, verdict in verdicts.items():
        node = found.get(name)
        if node is None or kind == "float":
            continue
        integer = optimized.computes_on_integers(node)
        if verdict.fate == "int8" and not integer:
            missed.append(Disagreement(name, verdict.op, verdict.becomes, f"{node.op} in float"))
        elif verdict.fate == "float" and integer:
            surprising.append(Disagreement(name, verdict.op, f"float: {verdict.reason}", node.op))
    return {"predicted_but_not_fused": missed, "fused_but_not_predicted": surprising}
