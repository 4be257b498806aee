"""The session option that an int8 ONNX file needs so that onnxruntime sums exactly on CPUs without VNNI.

With ``session.x64quantprecision = "1"`` onnxruntime turns int8 weights outside [-64, 64] to uint8 on such CPUs, and
its uint8 kernels add in 32 bits: slower, and the same integers as everywhere else. Files whose weights are pair-safe
(:mod:`fxpasses.quantization.numbers.pair_sums`) do not need it, and are faster without. On other CPUs it changes
nothing.

Files of ours contain the needed option in their metadata. For other files the weights are examined, for which torch is
imported.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from .onnx_refusals import SILENT

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnxruntime

METADATA_SESSION_OPTIONS = "fxpasses.session_options"
"""Metadata key of int8 files: a JSON object of session config entries, empty if none is needed."""

EXACT_SUMS = {"session.x64quantprecision": "1"}
"""The config entries with which onnxruntime does not saturate."""

_ANY_PAIR_IS_SAFE = 64
"""Largest magnitude of weights that cannot saturate in any pairs."""

_WEIGHT_INPUTS = {"Conv": 1, "Gemm": 1, "MatMul": 1, "QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3} | {
    "MatMulInteger": 1, "MatMulIntegerToFloat": 1, "DynamicQuantizeMatMul": 1, "DynamicQuantizeLSTM": 1, "QAttention": 1
}  # fmt: skip
"""Operators with integer kernels, with the index of their weight among the inputs."""


def options_of_file(model: onnx.ModelProto) -> dict[str, str]:
    """Config entries that an ONNX file needs on x86 CPUs without VNNI, from its metadata or else its weights."""
    said = {entry.key: entry.value for entry in model.metadata_props}
    if METADATA_SESSION_OPTIONS in said:
        return _entries(said[METADATA_SESSION_OPTIONS])
    return EXACT_SUMS if _has_unsafe_weights(model) else {}


def set_exact_sums(options: onnxruntime.SessionOptions, model: onnx.ModelProto) -> None:
    """Set the entries that a file needs, only on machines where onnxruntime would saturate."""
    if runtime_saturates():
        for key, value in options_of_file(model).items():
            options.add_session_config_entry(key, value)


@functools.cache
def runtime_saturates() -> bool:
    """Whether onnxruntime adds pairs of products in 16 bits on this machine, tested by running its kernel."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_probe(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.full((4, _PROBED), 255, np.uint8)})
    return bool((found != 255 * 127 * _PROBED).any())


_PROBED = 16
"""Number of products in each sum of the test model."""


def _probe() -> bytes:
    """An ONNX model of one MatMulInteger: input bytes times weights of 127."""
    import onnx
    from onnx import TensorProto, helper

    weight = helper.make_tensor("w", TensorProto.INT8, [_PROBED, _PROBED], b"\x7f" * _PROBED**2, raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [4, _PROBED])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [4, _PROBED])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = onnx.ModelProto.SerializeToString(model)
    return content


def _entries(text: str) -> dict[str, str]:
    """The needed entries in a file's metadata that this module knows; other entries are ignored."""
    try:
        said = json.loads(text)
    except ValueError:
        return EXACT_SUMS
    return EXACT_SUMS if isinstance(said, dict) and EXACT_SUMS.keys() & said.keys() else {}


def _has_unsafe_weights(model: onnx.ModelProto) -> bool:
    import onnx

    held = {i.name: i for i in model.graph.initializer if i.data_type == onnx.TensorProto.INT8}
    behind = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear" and n.output}
    for node in model.graph.node:
        index = _WEIGHT_INPUTS.get(node.op_type)
        if index is None or len(node.input) <= index:
            continue
        name = node.input[index]
        weight = held.get(behind.get(name, name))
        if weight is not None and not _is_safe(node, weight):
            return True
    return False


def _is_safe(node: onnx.NodeProto, initializer: onnx.TensorProto) -> bool:
    from onnx import external_data_helper, numpy_helper

    if external_data_helper.uses_external_data(initializer):
        return False
    weight = numpy_helper.to_array(initializer)
    if weight.size == 0 or int(abs(weight.astype("int16")).max()) <= _ANY_PAIR_IS_SAFE:
        return True
    rows = _rows(node, weight)
    if rows is None:
        return False
    import torch

    from fxpasses.quantization.numbers.pair_sums import is_pair_safe

    groups = next((int(a.i) for a in node.attribute if a.name == "group"), 1)
    return is_pair_safe(torch.from_numpy(rows.copy()), 0, groups)


def _rows(node: onnx.NodeProto, weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """A weight with output channels first; None if its layout is unknown."""
    if node.op_type in ("Conv", "QLinearConv"):
        return weight
    if weight.ndim != 2 or node.op_type in ("DynamicQuantizeLSTM", "QAttention"):
        return None
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return weight if transposed else weight.T
