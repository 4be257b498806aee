"""Products of a transposed and cast tensor are written in a form on which onnxruntime does not crash."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

import fxpasses
from fxpasses.export.onnx_forms.transposed_casts import part_casts_from_products
from fxpasses.precision.half import to_half

SIZES = (2, 3, 4, 5)
OPEN = """
import sys, numpy as np, onnxruntime as ort
for path in sys.argv[1:]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: np.load(path + ".input.npy")}
    np.save(path + ".npy", session.run(None, given)[0])
"""


def run_in_a_child(*paths: Path) -> int:
    """Open and run files in a process of their own, which may crash; return its exit status."""
    return subprocess.run([sys.executable, "-c", OPEN, *map(str, paths)], capture_output=True, check=False).returncode


def product(order: tuple[int, ...], between: tuple[str, ...], dtype: int) -> onnx.ModelProto:
    """``Transpose``, the operators ``between``, and ``MatMul`` with a constant."""
    given = SIZES[: len(order)]
    value, nodes = "t", [helper.make_node("Transpose", ["x"], ["t"], perm=list(order))]
    for number, operator in enumerate(between):
        settings: dict[str, Any] = {"to": TensorProto.FLOAT} if operator == "Cast" else {}
        nodes.append(helper.make_node(operator, [value], [f"v{number}"], **settings))
        value = f"v{number}"
    product_dtype = TensorProto.FLOAT if "Cast" in between else dtype
    weight = np.random.default_rng(0).integers(-3, 4, (given[order[-1]], 6))
    nodes.append(helper.make_node("MatMul", [value, "w"], ["y"], name="product"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, given)],
        [helper.make_tensor_value_info("y", product_dtype, None)],
        [numpy_helper.from_array(weight.astype(helper.tensor_dtype_to_np_dtype(product_dtype)), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


CASES = [
    *((order, (), TensorProto.FLOAT16) for rank in (3, 4) for order in itertools.permutations(range(rank))),
    ((1, 0, 2), ("Cast",), TensorProto.FLOAT16),
    ((1, 0, 2), ("Identity", "Cast"), TensorProto.INT32),
    ((1, 2, 0), ("Cast",), TensorProto.DOUBLE),
]


def test_all_orders_open_and_give_the_same_numbers(tmp_path: Path) -> None:
    paths = []
    for number, (order, between, dtype) in enumerate(CASES):
        proto = product(order, between, dtype)
        model = ir.from_proto(proto)
        part_casts_from_products(model)
        path = tmp_path / f"{number}.onnx"
        onnx.save(ir.to_proto(model), path)
        onnx.checker.check_model(str(path), full_check=True)
        x = np.random.default_rng(1).integers(-3, 4, SIZES[: len(order)])
        np.save(f"{path}.input.npy", x.astype(helper.tensor_dtype_to_np_dtype(dtype)))
        paths.append(path)
    assert run_in_a_child(*paths) == 0
    for path, (order, between, dtype) in zip(paths, CASES, strict=True):
        evaluator = ReferenceEvaluator(product(order, between, dtype))
        (expected,) = evaluator.run(None, {"x": np.load(f"{path}.input.npy")})
        np.testing.assert_array_equal(np.load(f"{path}.npy"), expected)


@pytest.mark.parametrize(
    ("order", "between", "dtype", "parted"),
    [
        ((1, 0, 2), (), TensorProto.FLOAT16, True),
        ((1, 0, 2), (), TensorProto.FLOAT, False),
        ((0, 2, 1), (), TensorProto.FLOAT16, False),
        ((1, 0, 2), ("Cast",), TensorProto.DOUBLE, True),
        ((1, 0, 2), ("Relu",), TensorProto.FLOAT16, False),
        ((1, 0), (), TensorProto.FLOAT16, False),
    ],
)
def test_other_products_stay_as_they_are(
    order: tuple[int, ...], between: tuple[str, ...], dtype: int, parted: bool
) -> None:
    model = ir.from_proto(product(order, between, dtype))
    part_casts_from_products(model)
    assert ("Squeeze" in [node.op_type for node in model.graph]) is parted


def test_a_transformer_in_half_precision(tmp_path: Path) -> None:
    """Attention with ``batch_first`` transposes its input before its first linear layer."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    x = torch.randn(2, 20, 8)
    graph = to_half(fxpasses.fuse(fxpasses.capture(model, x)), "fp16")
    path = fxpasses.export.to_onnx(graph, tmp_path / "encoder.onnx", verify=False)
    assert "Squeeze" in {node.op_type for node in onnx.load(path).graph.node}
    np.save(f"{path}.input.npy", x.numpy())
    assert run_in_a_child(path) == 0
    np.testing.assert_allclose(np.load(f"{path}.npy"), model(x).detach().numpy(), atol=0.02)
