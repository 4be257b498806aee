"""Clamps before layers that read few bits."""

from __future__ import annotations

import torch
from training_nets import float_graph

import fxpasses
from fxpasses.graph.edit import operator_name
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.quantization.numbers.qparams import INT8_SYMMETRIC, UINT8, IntType, QParams
from fxpasses.training.fake.narrow_reads import drop_bounds, narrow_grid, put_narrow_reads, set_bounds
from fxpasses.training.layer_bits import LayerBits


def test_layers_of_one_tensor_share_a_clamp_and_sums_read_the_tensor() -> None:
    graph = copy_graph(fxpasses.fuse(float_graph()))
    narrow = put_narrow_reads(graph, {"second": LayerBits(8, 4), "wide": LayerBits(8, 2), "last": LayerBits(4, 8)})
    assert sorted(narrow.values()) == [2, 4]
    for name in narrow:
        clamp = next(n for n in graph.graph.nodes if n.name == name)
        assert operator_name(graph, clamp) == "clip" and len(clamp.users) == 1
    add = next(n for n in graph.graph.nodes if operator_name(graph, n) == "add")
    assert not any(n.name in narrow for n in add.all_input_nodes)
    x = torch.randn(2, 3, 9, 7)
    assert torch.equal(graph(x), fxpasses.fuse(float_graph())(x))


def test_grids_of_few_bits() -> None:
    assert narrow_grid(8, UINT8, symmetric=False, has_negative=True) is UINT8
    assert narrow_grid(3, UINT8, symmetric=False, has_negative=True) == IntType(torch.uint8, 0, 7)
    assert narrow_grid(3, INT8_SYMMETRIC, symmetric=True, has_negative=True) == IntType(torch.int8, -3, 3)
    assert narrow_grid(3, INT8_SYMMETRIC, symmetric=True, has_negative=False) == IntType(torch.int8, 0, 7)


def test_bounds_are_the_ends_of_the_grid() -> None:
    graph = torch.fx.Graph()
    node = graph.call_function(torch.relu, (graph.placeholder("x"),))
    set_bounds(node, QParams(0.5, 3, IntType(torch.uint8, 0, 7)))
    assert node.target is torch.clamp and node.kwargs == {"min": -1.5, "max": 2.0}
    set_bounds(node, QParams(0.5, 0, IntType(torch.uint8, 0, 7)))
    assert node.kwargs == {"min": -0.5, "max": 3.5}  # saturation does the rest, and no layer takes the clamp in
    gm = torch.fx.GraphModule(torch.nn.Module(), graph)
    drop_bounds(gm, [node.name])
    assert node.kwargs == {} and node.target is not torch.clamp
