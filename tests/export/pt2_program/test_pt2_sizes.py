"""Shapes without computing: the recorded shapes are those of a run, and nothing too large is allocated."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_graphs import own_copy, quantized
from torch import fx, nn

from fxpasses.export.program import example_inputs
from fxpasses.export.pt2_program.sizes import record_sizes
from fxpasses.export.pt2_records.records import RefusedError
from fxpasses.graph.meta_keys import DTYPE, SHAPE
from fxpasses.graph.shapes import record_shapes
from fxpasses.signature.examples import examples_of


@pytest.mark.parametrize("name", ["conv_bn_relu", "attention", "embedding_linear", "channel_shuffle"])
def test_the_same_as_of_a_run(name: str) -> None:
    fake, real = own_copy(quantized(name)), own_copy(quantized(name))
    record_sizes(fake, examples_of(real))
    record_shapes(real, example_inputs(real))
    found, expected = ([(n.name, n.meta.get(SHAPE), n.meta.get(DTYPE)) for n in gm.graph.nodes] for gm in (fake, real))
    assert found == expected


def _graph(build: Callable[[fx.Graph, fx.Node], Any]) -> fx.GraphModule:
    graph = fx.Graph()
    graph.output(build(graph, graph.placeholder("x")))
    return fx.GraphModule(nn.Module(), graph)


def test_a_tensor_that_is_too_large() -> None:
    gm = _graph(lambda graph, x: graph.call_function(torch.ops.aten.repeat.default, (x, [2**20, 2**10])))
    with pytest.raises(RefusedError, match="repeat_default has 4294967296 elements"):
        record_sizes(gm, (((2, 2), torch.float32),))


def test_a_number_that_is_too_large() -> None:
    def build(graph: fx.Graph, x: fx.Node) -> fx.Node:
        size = graph.call_function(torch.ops.aten.sym_size.int, (x, 0))
        for _ in range(7):
            size = graph.call_function(operator.mul, (size, size))
        return size

    with pytest.raises(RefusedError, match="a number of more than 62 bits"):
        record_sizes(_graph(build), (((2, 2), torch.float32),))


def test_a_tensor_taken_into_too_many_parts() -> None:
    gm = _graph(lambda graph, x: graph.call_function(torch.ops.aten.unbind.int, (x, 0)))
    record_sizes(gm, (((4, 2), torch.float32),))
    with pytest.raises(RefusedError, match="takes a tensor apart that is too long"):
        record_sizes(gm, (((2**20, 2), torch.float32),))


def test_an_example_that_is_no_tensor() -> None:
    gm = _graph(lambda graph, x: graph.call_function(operator.mul, (x, 2)))
    record_sizes(gm, (3,))
    assert all(SHAPE not in n.meta for n in gm.graph.nodes)
