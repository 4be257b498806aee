"""Preprocessing baked into an int8 ONNX graph: uint8 ``[N, H, W, C]`` in, and the very integers of the pipeline.

Where the toolkit has put images on the grid of their pixels, normalizing and quantizing give back the pixel itself,
which is checked for all 256 levels of each channel in onnxruntime: both are then left out, and bytes go straight to the
first integer operator. Elsewhere ``(pixel / 255 - mean) / std`` is computed in float32, operation by operation as the
pipeline does it, which gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.export.onnx_reader import opset_of
from fxpasses.measure.runners import session_options

from .graph_parts import GraphParts
from .image_input import LEVELS, ImageInput
from .image_resize import OPSET, add_resize

if TYPE_CHECKING:
    from onnx import GraphProto

METADATA = {"Image.ColorSpaceGamma": "SRGB", "Image.NominalPixelRange": "NominalRange_0_255"}
"""Metadata on pixel values, in standard ONNX terms (docs/MetadataProps.md of the ONNX specification)."""
FORMATS = {1: "Gray8", 3: "Rgb8"}
_ELEMENTWISE = ("Mul", "Add")
_RESHAPING = ("Unsqueeze",)


@dataclass(frozen=True)
class _Entrance:
    """The nodes between the input and the first integers; the last one is the QuantizeLinear."""

    nodes: list[NodeProto]

    @property
    def integers(self) -> str:
        return str(self.nodes[-1].output[0])


def image_graph(int8: ModelProto, image: ImageInput) -> ModelProto:
    """The model with preprocessing in front of it.

    Args:
        int8: an int8 model of one float input ``[N, C, H, W]``. It is not changed.
        image: the image input of the model; with ``any_size`` the graph also scales and crops.

    Raises:
        InputError: images are to be scaled, and the opset has no Resize that does it.
    """
    if image.any_size and opset_of(int8) < OPSET:
        raise InputError(
            f"an image graph that scales, in opset {opset_of(int8)}",
            why=f"Resize filters as training did from opset {OPSET} on",
            fix="leave `resize` out: run.py scales with Pillow; or quantize again without `opset`",
        )
    model = ModelProto()
    model.CopyFrom(int8)
    entrance = _entrance(model.graph)
    parts = GraphParts(model.graph)
    name = parts.fresh("image")
    pixels = parts.node("Transpose", [name], "image_by_channel", perm=[0, 3, 1, 2])
    if image.any_size:
        pixels = add_resize(parts, pixels, image)
    if entrance is not None and _gives_pixels(model, entrance, image):
        _let_pixels_in(model.graph, entrance, parts, pixels)
    else:
        _normalize(model.graph, parts, pixels, image)
    _put_in_front(model.graph, parts)
    _rename_input(model.graph, name, image)
    for key, value in {**METADATA, "Image.BitmapPixelFormat": FORMATS[image.channels]}.items():
        model.metadata_props.add(key=key, value=value)
    return model


def every_level(image: ImageInput) -> Tensor:
    """uint8 ``[N, H, W, C]``: images in which each channel has all 256 levels."""
    positions = image.height * image.width
    count = -(-(LEVELS + 1) // positions)
    values = torch.arange(count * positions * image.channels, dtype=torch.int64)
    spread = values.div(image.channels, rounding_mode="floor") + 85 * (values % image.channels)
    return (spread % (LEVELS + 1)).to(torch.uint8).view(count, image.height, image.width, image.channels)


def _entrance(graph: GraphProto) -> _Entrance | None:
    """The nodes from the input to the first integers, if they are elementwise and nothing else reads their results."""
    constants, nodes = {i.name for i in graph.initializer}, []
    at = graph.input[0].name
    while True:
        readers = [node for node in graph.node if at in node.input]
        if len(readers) != 1 or readers[0].input[0] != at or not set(readers[0].input[1:]) <= constants:
            return None
        nodes.append(readers[0])
        if readers[0].op_type == "QuantizeLinear":
            return _Entrance(nodes)
        if readers[0].op_type not in (*_ELEMENTWISE, *_RESHAPING):
            return None
        at = readers[0].output[0]


def _gives_pixels(model: ModelProto, entrance: _Entrance, image: ImageInput) -> bool:
    """Whether the first integers of an image are its own bytes, at every level of every channel."""
    import onnxruntime as ort

    used = {name for node in entrance.nodes for name in node.input}
    front = helper.make_graph(
        entrance.nodes,
        "entrance",
        list(model.graph.input[:1]),
        [helper.make_empty_tensor_value_info(entrance.integers)],
        [i for i in model.graph.initializer if i.name in used],
    )
    small = helper.make_model(front, opset_imports=model.opset_import, ir_version=model.ir_version)
    session = ort.InferenceSession(small.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"])
    pixels = every_level(image)
    (found,) = session.run(None, {model.graph.input[0].name: image.normalized(pixels).numpy()})
    expected = pixels.permute(0, 3, 1, 2).numpy()
    return bool(found.dtype == np.uint8 and np.array_equal(found.reshape(expected.shape), expected))


def _let_pixels_in(graph: GraphProto, entrance: _Entrance, parts: GraphParts, pixels: str) -> None:
    """Remove the nodes that normalize and quantize; nodes that only arrange values stay, and then arrange bytes."""
    for node in entrance.nodes:
        if node.op_type in _RESHAPING:
            pixels = parts.node(node.op_type, [pixels, *node.input[1:]], "image_arranged")
        graph.node.remove(node)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == entrance.integers:
                node.input[place] = pixels
    gone = {name for node in entrance.nodes for name in node.output}
    used = {name for node in (*graph.node, *parts.nodes) for name in node.input}
    for value in [value for value in graph.value_info if value.name in gone]:
        graph.value_info.remove(value)
    for constant in [constant for constant in graph.initializer if constant.name not in used]:
        graph.initializer.remove(constant)


def _normalize(graph: GraphProto, parts: GraphParts, pixels: str, image: ImageInput) -> None:
    """Add ``(pixel / 255 - mean) / std`` in front of all readers of the input."""
    by_channel = (1, image.channels, 1, 1)
    mean, std = (np.asarray(values, np.float32).reshape(by_channel) for values in (image.mean, image.std))
    value = parts.node("Cast", [pixels], "image_as_float", to=TensorProto.FLOAT)
    value = parts.node("Div", [value, parts.constant("levels", LEVELS, np.float32)], "image_of_one")
    value = parts.node("Sub", [value, parts.constant("mean", mean, np.float32)], "image_centred")
    value = parts.node("Div", [value, parts.constant("std", std, np.float32)], "image_normalized")
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == graph.input[0].name:
                node.input[place] = value


def _put_in_front(graph: GraphProto, parts: GraphParts) -> None:
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*parts.nodes, *others])
    graph.initializer.extend(parts.constants)


def _rename_input(graph: GraphProto, name: str, image: ImageInput) -> None:
    """Make the input one of bytes instead of floats; the batch dimension stays."""
    batch = graph.input[0].type.tensor_type.shape.dim[0]
    first = batch.dim_param or batch.dim_value
    size = ("image_height", "image_width") if image.any_size else (image.height, image.width)
    given = helper.make_tensor_value_info(name, TensorProto.UINT8, [first, *size, image.channels])
    given.type.denotation = "IMAGE"
    del graph.input[:]
    graph.input.append(given)
