"""Packed weights by shape of input: which get weights of their own, and that the numbers are the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from test_engines_reference import random_integers
from tiny_graphs import quantize_net
from torch import nn

from fxpasses.export.engines import quint8
from fxpasses.export.engines.packed_shapes import KEPT, REPEATS, PackedShapes
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.export.engines.x86_layers import PackedConv
from fxpasses.models.tiny_net import tiny
from fxpasses.quantization.int8_calls import find_int8_calls

SIZES = [torch.Size([n, 3, 8, 8]) for n in range(1, 6)]


def counted() -> PackedShapes:
    """Weights are numbers: 0 those given, then 1, 2, ..."""
    made = iter(range(1, 100))
    return PackedShapes(0, again=lambda packed: next(made))


def test_the_first_shape_gets_the_weights_there_are() -> None:
    shapes = counted()
    assert [shapes.of(SIZES[0]) for _ in range(5)] == [0] * 5


def test_a_shape_that_keeps_coming_gets_its_own() -> None:
    shapes = counted()
    shapes.of(SIZES[0])
    assert [shapes.of(SIZES[1]) for _ in range(REPEATS + 2)] == [0] * (REPEATS - 1) + [1] * 3
    assert shapes.of(SIZES[0]) == 0, "the first keeps its own"


def test_shapes_that_come_once_cost_nothing() -> None:
    shapes = counted()
    assert {shapes.of(SIZES[n % 5]) for n in range(50)} == {0}


def test_no_more_than_a_few_are_kept() -> None:
    shapes = counted()
    for size in SIZES:
        for _ in range(REPEATS):
            shapes.of(size)
    assert KEPT == 2 and (shapes.of(SIZES[-2]), shapes.of(SIZES[-1])) == (3, 4)
    assert shapes.of(SIZES[1]) == 0, "what has gone is called with the first weights again"


def test_threads_make_another_shape() -> None:
    shapes, before = counted(), torch.get_num_threads()
    shapes.of(SIZES[0])
    try:
        torch.set_num_threads(before + 1)
        assert [shapes.of(SIZES[0]) for _ in range(REPEATS)][-1] == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_weights_packed_again_give_the_same_integers(dims: int) -> None:
    layer = getattr(nn, f"Conv{dims}d")(128, 128, 3, groups=128)
    (call,) = find_int8_calls(quantize_net(tiny("depthwise", lambda: layer, (2, 128, *[7] * dims)))).values()
    kernel, inputs = PackedConv(call), random_integers(call, 1, extreme=True)
    expected = ReferenceKernel(call)(*inputs)
    kernel(inputs[0][:1])
    for _ in range(REPEATS + 1):
        assert torch.equal(quint8.as_bytes(kernel(*inputs)), expected)


def test_threads_at_once_and_the_engine_as_before() -> None:
    """Threads with batches of their own pack at the same time."""
    before = torch.backends.quantized.engine
    (call,) = find_int8_calls(quantize_net(tiny("conv", lambda: nn.Conv2d(8, 8, 3), (4, 8, 9, 9)))).values()
    kernel, (x,) = PackedConv(call), random_integers(call, 1, extreme=False)
    expected = ReferenceKernel(call)(x)

    def some(batch: int) -> bool:
        return all(torch.equal(quint8.as_bytes(kernel(x[:batch])), expected[:batch]) for _ in range(30))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(some, [1, 2, 3, 4]))
    assert torch.backends.quantized.engine == before
