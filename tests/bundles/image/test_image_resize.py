"""Scaling in the graph gives the size that Python computes, and cuts out the centre."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from fxpasses.bundles.image.graph_parts import GraphParts
from fxpasses.bundles.image.image_input import ImageInput
from fxpasses.bundles.image.image_resize import OPSET, add_resize
from fxpasses.models.data.image_folder import read_image

MOST_LEVELS = 2
"""Largest error of a pixel in levels: both sides round after rows and after columns, and weights have 22 bits."""


def scaled(image: ImageInput) -> onnxruntime.InferenceSession:
    given = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 3, "h", "w"])
    graph = helper.make_graph([], "scale", [given], [])
    parts = GraphParts(graph)
    name = add_resize(parts, "x", image)
    graph.node.extend(parts.nodes)
    graph.initializer.extend(parts.constants)
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 3, None, None]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("goal", [(8, 8), (9, 7), (32, 32)], ids=str)
def test_any_size_comes_out_as_images_are_read(goal: tuple[int, int], tmp_path: Path) -> None:
    image = ImageInput(*goal, 3, (0.0,) * 3, (1.0,) * 3)
    session, generator = scaled(image), np.random.default_rng(1)
    for size in [(8, 8), (9, 7), (7, 9), (64, 33), (33, 64), (5, 5), (37, 36), (100, 75)]:
        pixels = generator.integers(256, size=(*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photo.png")
        expected = read_image(tmp_path / "photo.png", (3, *goal)).numpy()
        (found,) = session.run(None, {"x": pixels.transpose(2, 0, 1)[None]})
        assert found.shape == (1, 3, *goal)
        apart = np.abs(found[0].astype(int) - expected.astype(int)).max()
        assert apart <= (0 if size == goal else MOST_LEVELS), (size, goal)
