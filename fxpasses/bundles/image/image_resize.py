"""Scale an image and cut out its centre, in the graph, as ``images=DIR`` does: in uint8, and nearly Pillow's pixels.

The shorter side becomes 256/224 of the model's, rounded as Python rounds; an image of the model's size stays as it is.
``Resize`` with ``antialias`` and ``exclude_outside`` has Pillow's bilinear filter; a few pixels differ by one or two.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from .graph_parts import GraphParts
from .image_input import ImageInput

OPSET = 18
"""The first ONNX opset whose Resize has ``antialias``."""


def add_resize(parts: GraphParts, pixels: str, image: ImageInput) -> str:
    """Add nodes that bring uint8 ``[N, C, h, w]`` of any size to ``[N, C, H, W]``; returns the result's name."""
    goal = parts.constant("goal", [image.height, image.width], np.int64)
    size = _size(parts, pixels, goal, image.resize_ratio)
    outer = parts.node("Shape", [pixels], "outer", end=2)
    sizes = parts.node("Concat", [outer, size], "sizes", axis=0)
    scaled = parts.node(
        "Resize", [pixels, "", "", sizes], "scaled", mode="linear", antialias=1, exclude_outside=1,
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    spare = parts.node("Sub", [size, goal], "spare")
    start = parts.node("Div", [spare, parts.constant("two", [2], np.int64)], "start")
    end = parts.node("Add", [start, goal], "end")
    axes = parts.constant("axes", [2, 3], np.int64)
    return parts.node("Slice", [scaled, start, end, axes], "centre")


def _size(parts: GraphParts, pixels: str, goal: str, ratio: float) -> str:
    """Height and width of the scaled image: int64 ``[2]``, in double precision as Python computes them."""
    shape = parts.node("Shape", [pixels], "size", start=2)
    size = parts.node("Cast", [shape], "size_as_double", to=TensorProto.DOUBLE)
    wanted = parts.node("Cast", [goal], "goal_as_double", to=TensorProto.DOUBLE)
    larger = parts.node("ReduceMax", [parts.node("Div", [wanted, size], "ratios")], "larger_ratio", keepdims=0)
    factor = parts.node("Mul", [parts.constant("margin", ratio, np.float64), larger], "factor")
    equal = parts.node("Cast", [parts.node("Equal", [shape, goal], "equal")], "equal_as_int", to=TensorProto.INT32)
    fits = parts.node("Cast", [parts.node("ReduceMin", [equal], "all_equal", keepdims=0)], "fits", to=TensorProto.BOOL)
    factor = parts.node("Where", [fits, parts.constant("one", 1, np.float64), factor], "factor_or_one")
    rounded = parts.node("Round", [parts.node("Mul", [size, factor], "exact_size")], "rounded_size")
    # Rounding must not make the image smaller than what is cut out.
    return parts.node("Max", [parts.node("Cast", [rounded], "whole_size", to=TensorProto.INT64), goal], "new_size")
