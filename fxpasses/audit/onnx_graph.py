"""An ONNX graph for the audit: producer and readers, element type, scale and zero point of each tensor.

Types are propagated by own rules and not by ``onnx.shape_inference``, which does not know onnxruntime's own operators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fxpasses.export.onnx_reader import metadata, opset_of

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

# Element types, by ONNX's numbers (TensorProto.DataType).
FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, BOOL = 1, 2, 3, 4, 5, 6, 7, 9
FLOAT16, DOUBLE, BFLOAT16 = 10, 11, 16
FLOATS = frozenset({FLOAT, FLOAT16, DOUBLE, BFLOAT16})
QUANTIZED = frozenset({UINT8, INT8, UINT16, INT16})
"""Types that QuantizeLinear can give. Operators that compute take 8 bits; those that move values also take 16."""
TYPE_NAMES = {
    FLOAT: "float32",
    UINT8: "uint8",
    INT8: "int8",
    UINT16: "uint16",
    INT16: "int16",
    INT32: "int32",
    INT64: "int64",
    FLOAT16: "float16",
}

CONVERTERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
"""Operators that convert between float and integers; they belong to neither group."""

INTEGER_WITH_FLOAT_OUTPUT = frozenset(
    ("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QGemm", "QAttention", "DynamicQuantizeLSTM")
)
"""Operators that read integers and may write float."""

_FIXED_TYPES = {
    **dict.fromkeys(("Shape", "Size", "NonZero", "ArgMax", "ArgMin"), INT64),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf"), BOOL),
    **dict.fromkeys(("And", "Or", "Xor", "Not"), BOOL),
    **dict.fromkeys(("MatMulInteger", "ConvInteger"), INT32),
    **dict.fromkeys(("DequantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulNBits"), FLOAT),
    **dict.fromkeys(("QAttention", "DynamicQuantizeLSTM"), FLOAT),
}
_TYPED_BY_ZERO_POINT = {"QLinearConv": 7, "QLinearMatMul": 7}
_QGEMM_ZERO_POINT = 8
_LARGE_BYTES = 1024


@dataclass(frozen=True, eq=False)
class Node:
    """One operator. Nodes are compared by identity."""

    op: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def input(self, index: int) -> str:
        """The name of an input; empty if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def __str__(self) -> str:
        return f"{self.op} '{self.name}'" if self.name else self.op


@dataclass(frozen=True, eq=False)
class Grid:
    """Parameters of a QuantizeLinear or DequantizeLinear: the integers' type, scale and zero point."""

    type: int
    scale: NDArray[np.float32] | None  # None if it is computed
    zero_point: NDArray[np.int64] | None  # None if it is left out, which means 0
    axis: int

    @property
    def per_tensor(self) -> bool:
        return self.scale is not None and self.scale.size == 1

    @property
    def zero(self) -> int:
        """The zero point of a per-tensor quantization."""
        return 0 if self.zero_point is None else int(self.zero_point.reshape(-1)[0])

    def same_as(self, other: Grid) -> bool:
        """Whether the same integers represent the same numbers with both parameters; per tensor only."""
        if self.scale is None or other.scale is None or not (self.per_tensor and other.per_tensor):
            return False
        same_scale = self.scale.reshape(-1)[0] == other.scale.reshape(-1)[0]
        return self.type == other.type and self.zero == other.zero and bool(same_scale)

    def __str__(self) -> str:
        scale = f"{float(self.scale.reshape(-1)[0]):.6g}" if self.scale is not None and self.per_tensor else "varying"
        return f"{TYPE_NAMES.get(self.type, self.type)}, scale {scale}, zero_point {self.zero}"


class OnnxGraph:
    """The outermost graph of a model. Bodies of If, Loop and Scan are not examined; ``bodies`` counts them."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        graph = model.graph
        self._model = model
        self.opset, self.metadata = opset_of(model), metadata(model)
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[Node] = []
        self.bodies = 0
        for proto in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
            self.bodies += any(a.type == onnx.AttributeProto.GRAPH for a in proto.attribute)
            if proto.op_type == "Constant" and "value" in attributes:
                self.constants[proto.output[0]] = attributes["value"]
                continue
            name, inputs, outputs = proto.name, tuple(proto.input), tuple(proto.output)
            self.nodes.append(Node(proto.op_type, name, proto.domain, inputs, outputs, attributes))
        self.inputs = {value.name for value in graph.input} - set(self.constants)
        self.outputs = {value.name for value in graph.output}
        self.producer = {output: node for node in self.nodes for output in node.outputs if output}
        self._readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for tensor in dict.fromkeys(node.inputs):
                self._readers.setdefault(tensor, []).append(node)
        self.types = {value.name: value.type.tensor_type.elem_type for value in graph.input}
        self.types.update((name, tensor.data_type) for name, tensor in self.constants.items())
        for node in self.nodes:
            self.types.update(_output_types(node, self.types))

    def readers(self, tensor: str) -> list[Node]:
        """The nodes that read a tensor, each listed once."""
        return self._readers.get(tensor, [])

    def of(self, *ops: str) -> Iterator[Node]:
        """The nodes with one of these operators."""
        return (node for node in self.nodes if node.op in ops)

    def is_float(self, tensor: str) -> bool:
        return self.types.get(tensor, 0) in FLOATS

    def is_quantized(self, tensor: str) -> bool:
        return self.types.get(tensor, 0) in QUANTIZED

    def computes_on_integers(self, node: Node) -> bool:
        """Whether a node works on quantized tensors."""
        if node.op in CONVERTERS:
            return False
        if node.op in INTEGER_WITH_FLOAT_OUTPUT or node.op.startswith("QLinear"):
            return True
        data = node.inputs[1:] if node.op == "Where" else node.inputs[:1]
        return any(self.is_quantized(tensor) for tensor in data)

    def computes_in_float(self, node: Node) -> bool:
        """Whether a node works on float tensors."""
        if node.op in CONVERTERS or self.computes_on_integers(node):
            return False
        return any(self.is_float(tensor) for tensor in (*node.inputs, *node.outputs))

    def value(self, tensor: str) -> NDArray[Any] | None:
        """A constant's value."""
        if tensor not in self.constants:
            return None
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[tensor])

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """A constant's shape."""
        return tuple(self.constants[tensor].dims) if tensor in self.constants else None

    def has_fixed_shape(self, tensor: str) -> bool:
        """Whether every dimension of a tensor is a known number."""
        dimensions = self.dimensions.get(tensor)
        return dimensions is not None and None not in dimensions

    @cached_property
    def dimensions(self) -> dict[str, tuple[int | None, ...]]:
        """The dimensions of tensors with known rank; None stands for a dynamic dimension."""
        import onnx

        graph = onnx.shape_inference.infer_shapes(_without_large_weights(self._model), data_prop=True).graph
        found: dict[str, tuple[int | None, ...]] = {name: tuple(tensor.dims) for name, tensor in self.constants.items()}
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.HasField("shape"):
                dims = value.type.tensor_type.shape.dim
                found[value.name] = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
        return found

    def grid(self, node: Node) -> Grid:
        """Parameters of a QuantizeLinear or DequantizeLinear."""
        scale, zero_point = self.value(node.input(1)), self.value(node.input(2)) if node.input(2) else None
        on = node.outputs[0] if node.op == "QuantizeLinear" else node.input(0)
        return Grid(
            self.types.get(on, 0),
            None if scale is None else scale.astype("float32"),
            None if zero_point is None else zero_point.astype("int64"),
            int(node.attributes.get("axis", 1)),
        )


def _without_large_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with large weights replaced by inputs of the same shape, which is quick to copy and to infer."""
    import onnx

    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    light.graph.name = model.graph.name
    for field in ("node", "input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) <= _LARGE_BYTES:
            light.graph.initializer.append(tensor)
        else:
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return light


def _output_types(node: Node, types: Mapping[str, int]) -> dict[str, int]:
    """The element type of each output of ``node``, given those of its inputs; 0 if it is unknown."""
    first = _first_output_type(node, types)
    found = dict.fromkeys(node.outputs, first)
    if node.op == "DynamicQuantizeLinear":
        found[node.outputs[1]] = FLOAT
    elif node.op in ("MaxPool", "TopK") and len(node.outputs) > 1:
        found[node.outputs[1]] = INT64
    elif node.op == "Dropout" and len(node.outputs) > 1:
        found[node.outputs[1]] = BOOL
    return found


def _first_output_type(node: Node, types: Mapping[str, int]) -> int:
    if node.op in _FIXED_TYPES:
        return _FIXED_TYPES[node.op]
    if node.op in _TYPED_BY_ZERO_POINT:
        return types.get(node.input(_TYPED_BY_ZERO_POINT[node.op]), UINT8)
    if node.op == "QGemm":
        return types.get(node.input(0), UINT8) if node.input(_QGEMM_ZERO_POINT) else FLOAT
    if node.op == "DynamicQuantizeLinear":
        return UINT8
    if node.op == "QuantizeLinear":
        return types.get(node.input(2), 0) or int(node.attributes.get("output_dtype", UINT8))
    if node.op == "QLinearConcat":  # its inputs: output's scale and zero point, then the tensors
        return types.get(node.input(1), UINT8)
    if node.op in ("Cast", "ConstantOfShape"):
        value = node.attributes.get("to", node.attributes.get("value"))
        return value if isinstance(value, int) else getattr(value, "data_type", FLOAT)
    data = node.inputs[1:2] if node.op in ("Where", "QLinearWhere") else node.inputs
    return next((types[tensor] for tensor in data if types.get(tensor)), 0)
