"""Sizes of a detector's feature maps, found in its QUANTIZED graph without computing anything.

Anchors need height and width of each feature map for any size of images. Of a saved detector the backbone's code is not
there, only the graph; so for each feature map a tensor of the graph is named that is as large as it, for every size of
images that was tried. The graph runs on fake tensors, which have sizes and no data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode

from fxpasses.errors import InputError

from ..float_steps import GridSizes

Shape = tuple[int, ...]
_STEPS = ((0, 0), (1, 0), (0, 3), (5, 2))
"""Steps by which height and width of images are larger than the example, in units of the padding."""


class LevelSizes:
    """Height and width of each feature map by the shape ``(C, H, W)`` of images.

    Attributes:
        graph: from images to the outputs of a head.
        names: for each feature map the name of a tensor of the graph that is as large.
    """

    def __init__(self, graph: fx.GraphModule, names: Sequence[str]) -> None:
        self.graph, self.names = graph, tuple(names)

    def __call__(self, image_shape: Shape) -> GridSizes:
        found = map_sizes(self.graph, image_shape)
        return [found[name] for name in self.names]


def map_sizes(graph: fx.GraphModule, image_shape: Shape) -> dict[str, tuple[int, int]]:
    """Height and width of every tensor ``[B, C, H, W]`` of a graph, by name."""
    recorder = _Recorder(graph)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        recorder.run(torch.empty(1, *image_shape))
    return recorder.sizes


class _Recorder(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.sizes: dict[str, tuple[int, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.dim() == 4:
            self.sizes[n.name] = (int(result.shape[2]), int(result.shape[3]))
        return result


def tried_shapes(example: Shape, unit: int, *, any_size: bool) -> list[Shape]:
    """Shapes ``(C, H, W)`` of images to try: the example, and larger ones if the graph takes any size."""
    channels, height, width = example
    steps = _STEPS if any_size else _STEPS[:1]
    return [(channels, height + down * unit, width + right * unit) for down, right in steps]


def level_names(
    graph: fx.GraphModule, sizes_of: Callable[[Shape], GridSizes], shapes: Iterable[Shape]
) -> tuple[str, ...]:
    """Names of tensors, one for each feature map, that are as large as it for all these shapes of images.

    Raises:
        InputError: a feature map has sizes that no tensor of the graph has.
    """
    tries = [(map_sizes(graph, shape), sizes_of(shape)) for shape in shapes]
    named = []
    for level in range(len(tries[0][1])):
        fits = (n for n in tries[0][0] if all(found.get(n) == levels[level] for found, levels in tries))
        name = next(fits, None)
        if name is None:
            raise InputError(
                f"feature map {level} of this detector has sizes of its own",
                why="no tensor of the graph of its layers has them, so that a file could not tell them",
                fix="write it for one size: detector.to_onnx(path, image_size)",
            )
        named.append(name)
    return tuple(named)
