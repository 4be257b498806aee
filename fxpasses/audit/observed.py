"""Examine onnxruntime's optimized graph: operators on integers, remaining Q/DQ, and the operators around these.

A remaining QuantizeLinear or DequantizeLinear is *between int8 operators* if there are integers before it and after it,
so that a float part lies in the middle. The others are expected: at the graph's input, where integers begin, and at its
output, where they end.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fxpasses.export.onnx_reader import read_onnx, start_session

from .onnx_graph import CONVERTERS, INTEGER_WITH_FLOAT_OUTPUT, Node, OnnxGraph

if TYPE_CHECKING:
    import onnx

_FUSED = ("FusedConv", "NhwcFusedConv", "FusedConvTranspose", "FusedGemm", "FusedMatMul")
_ATTENTION = ("Attention", "MultiHeadAttention", "GroupQueryAttention")
HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN", *_FUSED, *_ATTENTION})
"""Operators that multiply, which take most of the time."""

WEIGHT_ONLY = frozenset({"MatMulNBits", "GatherBlockQuantized"})
_SMALLEST_EXTERNAL_BYTES = 1024


@dataclass(frozen=True)
class Leftover:
    """A QuantizeLinear or DequantizeLinear that onnxruntime left in place.

    Attributes:
        op, name: operator type and name.
        before, after: the operators on both sides (or the graph's inputs and outputs).
        between_int8: whether integers come before and after it.
        reason: why it is still there.
    """

    op: str
    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    between_int8: bool
    reason: str


def optimized_by_onnxruntime(path: Path, threads: int) -> OnnxGraph:
    """The graph that onnxruntime runs, at its extended level: all fusions, but no change of memory layouts.

    Raises:
        InputError: onnxruntime refuses the file.
    """
    import onnx
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch, "optimized.onnx")
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(written)
        options.intra_op_num_threads = threads
        # Large weights go to another file, which is not read.
        external = "session.optimized_model_external_initializers_"
        options.add_session_config_entry(f"{external}file_name", "weights.bin")
        options.add_session_config_entry(f"{external}min_size_in_bytes", str(_SMALLEST_EXTERNAL_BYTES))
        start_session(path, options)
        return OnnxGraph(onnx.load(written, format="protobuf", load_external_data=False))


def named_model(path: Path, scratch: Path) -> tuple[onnx.ModelProto, Path]:
    """The model in ``path``, and a file of it with unique node names: ``path`` itself if the names are unique.

    Operators are found in the optimized graph by their names.

    Raises:
        InputError: ``path`` cannot be read.
    """
    import onnx

    model = read_onnx(path)
    names = Counter(node.name for node in model.graph.node)
    unclear = [node for node in model.graph.node if not node.name or names[node.name] > 1]
    if not unclear:
        return model, path
    for index, node in enumerate(unclear):
        node.name = f"{node.name or node.op_type}#{index}"
    copy = scratch / "named.onnx"
    onnx.save(model, copy, save_as_external_data=True, location="named.bin")
    return read_onnx(copy), copy


def count_integer_operators(graph: OnnxGraph) -> dict[str, int]:
    """Number of operators that compute on integers, by type, most frequent first."""
    found = Counter(node.op for node in graph.nodes if graph.computes_on_integers(node))
    return dict(found.most_common())


def float_operators(graph: OnnxGraph) -> list[Node]:
    """The operators that compute in float."""
    return [node for node in graph.nodes if node.op not in WEIGHT_ONLY and graph.computes_in_float(node)]


class Reasons:
    """Reasons for operators to stay in float, found in the file, looked up for operators of the optimized graph."""

    def __init__(self, graph: OnnxGraph, reasons: dict[str, str]) -> None:
        """Store ``reasons`` for the operators of ``graph``, by name."""
        self._by_name = reasons
        self._by_output = {node.outputs[0]: reasons[node.name] for node in graph.nodes if node.name in reasons}

    def of(self, node: Node, optimized: OnnxGraph) -> str:
        """Look up by name, else by output: onnxruntime rewrites some operators as several without names."""
        found = self._by_name.get(original_name(node.name)) or self._by_output.get(node.outputs[0])
        if found:
            return found
        parts = [reader for reader in optimized.readers(node.outputs[0]) if not (node.name or reader.name)]
        if parts:
            return self.of(parts[0], optimized)
        return "onnxruntime made it from another operator that computes in float"


def leftovers(graph: OnnxGraph, reasons: Reasons) -> list[Leftover]:
    """Every remaining QuantizeLinear and DequantizeLinear of the optimized graph, in its order."""
    flow = _Flow(graph)
    return [_leftover(flow, node, reasons) for node in graph.of("QuantizeLinear", "DequantizeLinear")]


class _Flow:
    """The float tensors that are computed from integers, and those from which integers are computed."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.from_integers: set[str] = set()
        self.to_integers: set[str] = set()
        for node in graph.nodes:
            starts = self.leaves_integers(node)
            if starts or (node.op != "QuantizeLinear" and any(tensor in self.from_integers for tensor in node.inputs)):
                self.from_integers.update(tensor for tensor in node.outputs if graph.is_float(tensor))
        for node in reversed(graph.nodes):
            ends = node.op in ("QuantizeLinear", "DynamicQuantizeLinear")
            if ends or (node.op != "DequantizeLinear" and any(tensor in self.to_integers for tensor in node.outputs)):
                self.to_integers.update(tensor for tensor in node.inputs if graph.is_float(tensor))

    def leaves_integers(self, node: Node) -> bool:
        """Whether integers become float here. A dequantized constant counts only if it is a table for Gather."""
        if node.op == "DequantizeLinear":
            is_table = any(reader.op == "Gather" for reader in self.graph.readers(node.outputs[0]))
            return node.input(0) not in self.graph.constants or is_table
        return node.op in INTEGER_WITH_FLOAT_OUTPUT

    def makers(self, tensor: str) -> list[Node]:
        maker = self.graph.producer.get(tensor)
        return [maker] if maker else []


def _leftover(flow: _Flow, node: Node, reasons: Reasons) -> Leftover:
    graph = flow.graph
    makers, readers = flow.makers(node.input(0)), graph.readers(node.outputs[0])
    if node.op == "QuantizeLinear":
        between = node.input(0) in flow.from_integers
        neighbours = makers
    else:
        between = flow.leaves_integers(node) and node.outputs[0] in flow.to_integers
        neighbours = readers
    before = tuple(map(str, makers)) or (
        f"constant '{node.input(0)}'" if node.input(0) in graph.constants else "input",
    )
    after = tuple(map(str, readers)) + (("output",) if node.outputs[0] in graph.outputs else ())
    return Leftover(node.op, node.name, before, after, between, _why_left(graph, node, neighbours, between, reasons))


def _why_left(graph: OnnxGraph, node: Node, neighbours: list[Node], between: bool, reasons: Reasons) -> str:
    """Reason for a remaining Q or DQ: the reasons for its neighbours to stay in float."""
    if node.op == "DequantizeLinear" and node.input(0) in graph.constants:
        return f"the weights or table of {_listed(neighbours)}, which computes in float"
    if not between:
        return (
            "the graph enters the integers here"
            if node.op == "QuantizeLinear"
            else "the graph leaves the integers here"
        )
    floats = [other for other in neighbours if other.op not in CONVERTERS]
    if not floats:
        return "a DequantizeLinear meets a QuantizeLinear with other parameters"
    return "; ".join(dict.fromkeys(_with_reason(other, reasons.of(other, graph)) for other in floats))


def _with_reason(node: Node, reason: str) -> str:
    return f"{node}: {reason}" if node.name and not reason.startswith(node.op) else reason


def original_name(name: str) -> str:
    """The name in the file of the operator from which an optimized operator was made."""
    return re.sub(r"/\w+Fusion/?$", "", name.removeprefix("fused "))


def _listed(nodes: Iterable[Node]) -> str:
    return ", ".join(map(str, nodes)) or "nothing"
