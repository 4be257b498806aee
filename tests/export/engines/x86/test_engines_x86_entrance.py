"""Kernels that quantize inputs give the result of ``quantize``, for any size, layout and values of the image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx

from fxpasses.export.engines import quint8
from fxpasses.export.engines.x86.entrance import Entrance, PixelEntrance, entrance
from fxpasses.quantization.numbers import ops

ZERO_POINT = 116


def quantize_node(channels: int, wide: int, *, spread: bool = False) -> fx.Node:
    graph = fx.Graph()
    factor, offset = [57.3 + c for c in range(channels)], [0.25 * c for c in range(channels)]
    arguments = (graph.placeholder("x"), factor, offset, 255.0 - ZERO_POINT, wide)
    made = graph.call_function(ops.pixels, (*arguments, True) if spread else arguments)
    return graph.call_function(ops.quantize, (made, 1.0, ZERO_POINT, torch.uint8))


def expected(node: fx.Node, x: Tensor) -> Tensor:
    return ops.quantize(ops.pixels(x, *node.all_input_nodes[0].args[1:]), 1.0, ZERO_POINT, torch.uint8)


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", [(1, 3, 5, 7), (2, 3, 40, 36), (3, 1, 70, 33), (1, 4, 33, 35), (2, 5, 33, 35)])
def test_pixels_and_quantize_in_one(shape: tuple[int, ...], channels_last: bool, spread: bool) -> None:
    wide = 2 * (shape[1] + 1) if spread else -(-(shape[1] + 1) // 4) * 4
    node = quantize_node(shape[1], wide, spread=spread)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 2
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    found = PixelEntrance(node)(x)
    assert torch.equal(found, expected(node, x))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (x.numel() > quint8.TINY) == (shape[2] > 5), "both ways are taken"


@pytest.mark.parametrize("value", [0.0, 1e-30, 3e9, 3e38, float("inf")])
def test_outliers_saturate(value: float) -> None:
    node = quantize_node(3, 4)
    for size in (1, 64):
        x = torch.tensor([value, -value, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, size, size).contiguous()
        assert torch.equal(PixelEntrance(node)(x), expected(node, x))


def test_it_reads_the_image_itself() -> None:
    node = quantize_node(3, 4)
    kernel = entrance(node)
    assert isinstance(kernel, PixelEntrance) and kernel.source(node).op == "placeholder"
    graph = fx.Graph()
    plain = graph.call_function(ops.quantize, (graph.placeholder("x"), 0.1, 3, torch.uint8))
    assert isinstance(entrance(plain), Entrance) and entrance(plain).source(plain).op == "placeholder"
