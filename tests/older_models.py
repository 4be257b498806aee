"""Models of opset 18 and the same in older opsets, for tests that run both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from int8_files import model_of, run_file
from onnx import TensorProto, helper
from torch import Tensor

from fxpasses.export.older_opsets.forms import BASE
from fxpasses.export.older_opsets.lower import to_older_opset
from fxpasses.export.older_opsets.same_results import require_same_results

Array = np.ndarray[Any, Any]
OLDER = range(13, BASE)


def older(content: bytes, opset: int) -> bytes:
    """A file of opset 18 in an older opset, as onnx's checker accepts it."""
    model = ir.from_proto(model_of(content))
    to_older_opset(model, opset, lambda node: f"node {node.name!r}")
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def one_node(
    op_type: str, inputs: list[Array | None], constants: int = 0, outputs: int = 1, free: bool = False, **settings: Any
) -> bytes:
    """A model of opset 18 of one node; None leaves an input out.

    Args:
        inputs: values of the inputs, which give type and shape.
        constants: number of inputs, from the end, that are constants.
        free: whether the sizes of inputs are not known.
    """
    names = ["" if value is None else f"in{n}" for n, value in enumerate(inputs)]
    kept = len(inputs) - constants
    given = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim if free else value.shape
        )
        for name, value in zip(names[:kept], inputs[:kept], strict=True)
        if value is not None
    ]
    stored = [
        onnx.numpy_helper.from_array(value, name)
        for name, value in zip(names[kept:], inputs[kept:], strict=True)
        if value is not None
    ]
    made = [f"out{n}" for n in range(outputs)]
    node = helper.make_node(op_type, names, made, name="the_node", **settings)
    graph = helper.make_graph([node], "g", given, [helper.make_empty_tensor_value_info(n) for n in made], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", BASE)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    for value in model.graph.output:
        if not value.type.tensor_type.elem_type:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return bytes(model.SerializeToString())


def results(content: bytes, inputs: list[Array | None]) -> list[Array]:
    """Outputs of a file in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = {given.name for given in session.get_inputs()}
    feed: Mapping[str, Any] = {f"in{n}": value for n, value in enumerate(inputs) if f"in{n}" in names}
    found: list[Array] = session.run(None, dict(feed))
    return found


def operators(content: bytes) -> list[str]:
    return [node.op_type for node in model_of(content).graph.node]


def differing_opsets(content: bytes, inputs: tuple[Tensor, ...]) -> list[int]:
    """Older opsets in which a file of opset 18 gives other bits."""
    expected = run_file(content, inputs)
    return [opset for opset in OLDER if not _same(expected, run_file(older(content, opset), inputs))]


def _same(expected: list[Tensor], found: list[Tensor]) -> bool:
    return all(a.dtype == b.dtype and a.equal(b) for a, b in zip(expected, found, strict=True))


def same_numbers(folder: Path, newer: bytes, other: bytes, x: Array | None = None) -> None:
    """Compare a model of opset 18 with another one in opset 13, as the exporter does."""
    given = np.array([[0.5, -2.0, 3.0]], np.float32) if x is None else x
    (folder / "m.onnx").write_bytes(older(other, 13))
    require_same_results(newer, folder / "m.onnx", [torch.from_numpy(given)])
