"""The steps of an ONNX file: by the notes in files of this package, or by the operators in any other file.

QuantizeLinear and DequantizeLinear are no steps; they set the grid of the result of the operator between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from fxpasses.audit.onnx_graph import CONVERTERS, FLOATS, QUANTIZED, TYPE_NAMES, Node, OnnxGraph
from fxpasses.formats.node_notes import FOLDED, MODULE, NODE, OPERATOR, TENSOR, notes_in
from fxpasses.quantization.int8.names import layer_path

from .steps import Step, Weight

if TYPE_CHECKING:
    import onnx

_OPERATORS = {
    **{"Add": "add", "QLinearAdd": "add", "Mul": "mul", "QLinearMul": "mul", "Sub": "sub", "Div": "div"},
    **{"Relu": "relu", "Clip": "clip", "Sigmoid": "sigmoid", "QLinearSigmoid": "sigmoid", "Gelu": "gelu"},
    **{"BatchNormalization": "batch_norm", "LayerNormalization": "layer_norm", "Softmax": "softmax"},
    **{"Gemm": "linear", "QGemm": "linear", "MatMul": "matmul", "QLinearMatMul": "matmul", "MatMulNBits": "linear"},
    **{"Conv": "conv", "QLinearConv": "conv", "ConvInteger": "conv", "FusedConv": "conv"},
    **{"ConvTranspose": "conv_transpose", "MaxPool": "max_pool", "AveragePool": "avg_pool"},
    **{"GlobalAveragePool": "adaptive_avg_pool2d", "QLinearGlobalAveragePool": "adaptive_avg_pool2d"},
    **{"QLinearAveragePool": "avg_pool", "Concat": "cat", "QLinearConcat": "cat", "Flatten": "flatten"},
    **{"Reshape": "reshape", "Transpose": "permute", "Pad": "pad", "HardSwish": "hardswish"},
    **{"LSTM": "recurrent", "GRU": "recurrent", "RNN": "recurrent", "DynamicQuantizeLSTM": "recurrent"},
}
"""Names in the vocabulary; a name for several dimensionalities gets the number of dimensions appended."""
_WITH_A_CONSTANT = {"matmul": "linear"}
"""Names of operators whose second input is a constant."""
_WEIGHTED = frozenset({"conv", "conv_transpose", "linear", "matmul", "batch_norm", "recurrent"})
_SIZED = frozenset({"conv", "conv_transpose", "max_pool", "avg_pool"})
_MOVING = frozenset({"max_pool", "reshape", "flatten", "permute", "pad", "cat", "slice", "split", "squeeze", "expand"})
_WEIGHT_AT = {"QLinearConv": 3, "QGemm": 3, "QLinearMatMul": 3}
_SCALE_AT = {
    **{"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6, "QLinearAdd": 6, "QLinearMul": 6, "QGemm": 7},
    **{"QLinearGlobalAveragePool": 3, "QLinearAveragePool": 3, "QLinearSigmoid": 3, "QLinearConcat": 0},
}
"""Index of the input that holds the scale of an operator's result; the zero point is the next input."""
_TRANSPOSED = frozenset({"MatMul", "QLinearMatMul", "Gemm", "QGemm"})


def steps_of_onnx(model: onnx.ModelProto) -> list[Step]:
    """Every operator of a model that depends on an input, in order."""
    return list(_Reader(model).steps())


class _Reader:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = OnnxGraph(model)
        self.notes = _notes(model)
        self.read: dict[str, str] = {}
        """Name of the step that computes a tensor, by the tensor's name."""
        self.computed: set[str] = set(self.graph.inputs)
        """Tensors that depend on an input."""

    def steps(self) -> Iterator[Step]:
        groups = self._groups()
        for node in self.graph.nodes:
            if not any(name in self.computed for name in node.inputs):
                continue
            self.computed.update(node.outputs)
            if node.op in CONVERTERS:
                yield from self._converter(node)
                continue
            group = groups[node]
            if node is group[-1]:
                yield self._step(group)

    def _groups(self) -> dict[Node, list[Node]]:
        """Groups of operators, by each of their members; by the notes, a group was made from one node of a graph."""
        by_note: dict[tuple[str | None, str | None], list[Node]] = {}
        found: dict[Node, list[Node]] = {}
        for node in self.graph.nodes:
            noted = self._noted(node)
            note = (noted.get(TENSOR), None if TENSOR in noted else noted.get(NODE))
            found[node] = by_note.setdefault(note, []) if any(note) else []
            found[node].append(node)
        return found

    def _noted(self, node: Node) -> dict[str, str]:
        return self.notes.get(node.outputs[0], {}) if node.outputs else {}

    def _converter(self, node: Node) -> Iterator[Step]:
        """Treat a converter's result as its input; only a converter of floats from outside is a step of its own."""
        source = next(name for name in node.inputs if name in self.computed)
        known = self.read.get(source)
        if known is None and node.op == "QuantizeLinear":
            known = node.outputs[0]
            yield Step(known, "quantize", None, *self._grid_of(node.outputs[0]), True)
        if known is not None:
            self.read.update(dict.fromkeys(node.outputs, known))

    def _step(self, group: list[Node]) -> Step:
        last, noted = group[-1], self._noted(group[-1])
        name = self._unused(noted.get(TENSOR) or last.outputs[0] or last.name)
        outside = [i for node in group for i in node.inputs if i in self.read]
        inputs = tuple(dict.fromkeys(self.read[i] for i in outside))
        self.read.update({output: name for node in group for output in node.outputs})
        node = next((n for n in group if self._weight_name(n) is not None), last)
        weight, kind = self._weight(node), _OPERATORS.get(node.op, node.op)
        precision, grid = self._result(last)
        return Step(
            name,
            noted.get(OPERATOR) or self._operator(node, kind, weight),
            module=noted.get(MODULE) or (self._path_of(node) if weight is not None else None),
            precision=precision,
            grid=grid,
            moves=kind in _MOVING,
            on_integers=self._reads_integers(group[0]) and (bool(grid) or weight is not None),
            shape=self._shape(last),
            weight=weight,
            inputs=inputs,
            folded=tuple(part for part in noted.get(FOLDED, "").split(", ") if part),
        )

    def _unused(self, name: str) -> str:
        """A name that no step has yet."""
        taken, number = set(self.read.values()), 1
        while (unique := name if number == 1 else f"{name}_{number}") in taken:
            number += 1
        return unique

    def _shape(self, node: Node) -> tuple[int, ...] | None:
        dimensions = self.graph.dimensions.get(node.outputs[0])
        if not dimensions or any(size is None for size in dimensions[1:]):
            return None
        return tuple(size for size in dimensions[1:] if size is not None)

    def _operator(self, node: Node, kind: str, weight: Weight | None) -> str:
        if weight is not None and kind in _WITH_A_CONSTANT:
            return _WITH_A_CONSTANT[kind]
        if kind not in _SIZED:
            return kind
        kernel = node.attributes.get("kernel_shape")
        return f"{kind}{len(kernel) if kernel else len(weight.shape) - 2 if weight else 2}d"

    def _result(self, node: Node) -> tuple[str, str]:
        """Type and grid of a node's result: those of the QuantizeLinear behind it, or of its own integers."""
        output = node.outputs[0]
        behind = [reader for reader in self.graph.readers(output) if reader.op == "QuantizeLinear"]
        if behind:
            return self._grid_of(behind[0].outputs[0])
        return self._grid_of(output)

    def _grid_of(self, tensor: str) -> tuple[str, str]:
        """Type, and scale and zero point of integers."""
        kind = self.graph.types.get(tensor, 0)
        name = TYPE_NAMES.get(kind, "float32" if kind in FLOATS or kind == 0 else f"type {kind}")
        return name, (self._grid_text(tensor) if kind in QUANTIZED else "")

    def _grid_text(self, tensor: str) -> str:
        """Scale and zero point as text, read at the tensor's producer or reader, or at the tensor it was moved from."""
        producer = self.graph.producer.get(tensor)
        while producer is not None and producer.op not in _SCALE_AT and _OPERATORS.get(producer.op) in _MOVING:
            tensor = producer.input(0)
            producer = self.graph.producer.get(tensor)
        readers = [r for r in self.graph.readers(tensor) if r.op == "DequantizeLinear"]
        at = producer if producer is not None and producer.op in _SCALE_AT else next(iter(readers), None)
        if at is None:
            return ""
        place = _SCALE_AT.get(at.op, 1)
        scale, zero = self.graph.value(at.input(place)), self.graph.value(at.input(place + 1))
        if scale is None or scale.size != 1:
            return ""
        return f"{float(scale.reshape(-1)[0]):.6g} @ {0 if zero is None else int(zero.reshape(-1)[0])}"

    def _reads_integers(self, node: Node) -> bool:
        given = [name for name in node.inputs if name in self.computed]
        made = [self.graph.producer.get(name) for name in given]
        behind = all(p is not None and p.op == "DequantizeLinear" for p in made)
        return bool(given) and (behind or all(self.graph.types.get(name, 0) in QUANTIZED for name in given))

    def _weight_name(self, node: Node) -> str | None:
        """Name of the constant that holds a layer's weight, found through the operators that unpack it."""
        if _OPERATORS.get(node.op) not in _WEIGHTED:
            return None
        name = node.input(_WEIGHT_AT.get(node.op, 1))
        for _ in range(8):
            made = self.graph.producer.get(name)
            if made is None or not made.inputs or name in self.computed:
                break
            name = made.input(0)
        return name if name in self.graph.constants else None

    def _weight(self, node: Node) -> Weight | None:
        name = self._weight_name(node)
        values = None if name is None else self.graph.value(name)
        if values is None or name is None:
            return None
        kind = TYPE_NAMES.get(self.graph.types.get(name, 0), str(values.dtype))
        if values.dtype.kind not in "fiu":
            values = values.astype("float32")
        tensor = torch.from_numpy(values.copy())
        is_turned = node.op in _TRANSPOSED and tensor.ndim == 2 and not node.attributes.get("transB")
        return Weight(tensor.t() if is_turned else tensor, kind)

    def _path_of(self, node: Node) -> str | None:
        """The layer's path, from the name of its weight: ``layer1.0.conv1`` for ``layer1.0.conv1.weight``."""
        path = (self._weight_name(node) or "").rpartition(".")[0]
        return layer_path(path) or None


def _notes(model: onnx.ModelProto) -> Mapping[str, dict[str, str]]:
    """The notes of each operator, by its first output."""
    found: dict[str, dict[str, str]] = {}
    for node in model.graph.node:
        entries: dict[str, Any] = {entry.key: entry.value for entry in node.metadata_props}
        noted = notes_in(entries)
        if noted and node.output:
            found[node.output[0]] = noted
    return found
