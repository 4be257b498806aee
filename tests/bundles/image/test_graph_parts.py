"""Names that a graph does not use yet."""

from __future__ import annotations

import numpy as np
import onnx
from bundle_folders import folder

from fxpasses.bundles.image.graph_parts import GraphParts


def test_names_are_new() -> None:
    graph = onnx.load(folder() / "model.int8.onnx").graph
    parts = GraphParts(graph)
    assert parts.fresh("x") == "x_1" and parts.fresh("x") == "x_2" and parts.fresh("image") == "image"
    assert parts.constant("image", [1, 2], np.int64) == "image_1"
    assert parts.node("Identity", ["x"], "image") == "image_2"
    assert [node.output[0] for node in parts.nodes] == ["image_2"]
    assert onnx.numpy_helper.to_array(parts.constants[0]).tolist() == [1, 2]
