"""Shapes and types of every tensor are recorded, without touching the inputs."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from fxpasses.graph.meta_keys import DTYPE, SHAPE
from fxpasses.graph.shapes import is_float_tensor, is_tensor, record_shapes, shape_of


class Mixed(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        size = x.size(0)
        left, right = x.add_(1).chunk(2, dim=1)
        return left * size, right.argmax(1)


def recorded() -> dict[str, fx.Node]:
    gm = fx.symbolic_trace(Mixed())
    x = torch.zeros(2, 6, 3)
    record_shapes(gm, (x,))
    assert torch.equal(x, torch.zeros(2, 6, 3))
    return {n.name: n for n in gm.graph.nodes}


def test_every_tensor_has_its_shape_and_type() -> None:
    nodes = recorded()
    assert shape_of(nodes["x"]) == (2, 6, 3)
    assert shape_of(nodes["mul"]) == (2, 3, 3)
    assert nodes["argmax"].meta[DTYPE] is torch.int64
    assert nodes["chunk"].meta[SHAPE] == [(2, 3, 3), (2, 3, 3)]


def test_what_is_no_single_tensor_has_none() -> None:
    nodes = recorded()
    assert shape_of(nodes["chunk"]) is None
    assert SHAPE not in nodes["size"].meta
    assert not is_tensor(nodes["size"])
    assert not is_tensor(3)


def test_only_float32_is_a_float_tensor() -> None:
    nodes = recorded()
    assert is_float_tensor(nodes["mul"])
    assert not is_float_tensor(nodes["argmax"])
    assert not is_float_tensor(None)


def test_recording_again_replaces_what_was_known() -> None:
    gm = fx.symbolic_trace(nn.ReLU())
    record_shapes(gm, (torch.zeros(2, 3),))
    record_shapes(gm, (torch.zeros(4, 3, dtype=torch.float64),))
    (relu,) = (n for n in gm.graph.nodes if n.op == "call_module" or n.op == "call_function")
    assert shape_of(relu) == (4, 3)
    assert relu.meta[DTYPE] is torch.float64
