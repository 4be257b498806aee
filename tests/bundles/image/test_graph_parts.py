"""New nodes and constants get names that the graph does not use yet."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from fxpasses.bundles.image.graph_parts import GraphParts


def test_names_are_new() -> None:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Relu", ["x"], ["image_1"])
    parts = GraphParts(helper.make_graph([node], "graph", [given], []))
    assert parts.fresh("x") == "x_1" and parts.fresh("x") == "x_2" and parts.fresh("image") == "image"
    assert parts.constant("image", [1, 2], np.int64) == "image_2"
    assert parts.node("Identity", ["x"], "image") == "image_3"
    assert [node.output[0] for node in parts.nodes] == ["image_3"]
    assert onnx.numpy_helper.to_array(parts.constants[0]).tolist() == [1, 2]
