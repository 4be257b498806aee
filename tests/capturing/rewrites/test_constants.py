"""Values that depend on no input are computed once, and the nodes they were computed from are removed."""

from __future__ import annotations

from typing import Any

import torch
from tiny_nets.net import IMAGE, OneInput
from torch import Tensor, fx, nn

from fxpasses.capturing.rewrites.constants import fold_constants
from fxpasses.capturing.symbolic_trace import trace_graph

IMAGES = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))


def folded(body: Any, **parts: nn.Module | Tensor) -> fx.GraphModule:
    model = OneInput(body, **parts).eval()
    gm = trace_graph(model, (IMAGES,))
    with torch.no_grad():
        expected = gm(IMAGES)
        fold_constants(gm)
        gm.graph.lint()
        assert torch.equal(gm(IMAGES), expected)
    return gm


def calls(gm: fx.GraphModule) -> list[str]:
    return [n.name for n in gm.graph.nodes if n.op.startswith("call_")]


def test_functions_methods_and_modules_of_constants_are_folded() -> None:
    gm = folded(
        lambda net, x: x * net.act(torch.exp(net.w) + net.w.abs()), w=nn.Parameter(torch.randn(7)), act=nn.Sigmoid()
    )
    assert calls(gm) == ["mul"]
    assert [name for name, _ in gm.named_buffers()] == ["_tensor_constant0"]
    assert not list(gm.parameters())
    assert not list(gm.children())


def test_a_parameter_that_is_read_directly_stays_a_parameter() -> None:
    gm = folded(lambda net, x: x * net.w + net.w.exp(), w=nn.Parameter(torch.randn(7)))
    assert [name for name, _ in gm.named_parameters()] == ["w"]
    assert calls(gm) == ["mul", "add"]


def test_parts_of_a_constant_tuple_are_folded() -> None:
    gm = folded(lambda net, x: x * net.w.chunk(2)[1], w=nn.Parameter(torch.randn(14)))
    assert calls(gm) == ["mul"]


def test_what_reads_an_input_stays() -> None:
    assert calls(folded(lambda net, x: net.w.expand(x.size(0), 5, 9, 7) + x, w=nn.Parameter(torch.randn(7)))) == [
        "size", "expand", "add"
    ]  # fmt: skip


def test_random_numbers_are_not_folded() -> None:
    graph = fx.Graph()
    x = graph.placeholder("x")
    noise = graph.call_function(torch.ops.aten.rand.default, ([7],))
    zeros = graph.call_function(torch.ops.aten.zeros.default, ([7],))
    graph.output(graph.call_function(torch.add, (graph.call_function(torch.add, (x, noise)), zeros)))
    gm = fx.GraphModule(nn.Module(), graph)
    fold_constants(gm)
    assert calls(gm) == ["rand_default", "add", "add_1"]


def test_the_model_is_not_changed() -> None:
    weight = nn.Parameter(torch.randn(7))
    model = OneInput(lambda net, x: x * net.w.exp(), w=weight).eval()
    fold_constants(trace_graph(model, (IMAGES,)))
    assert [name for name, _ in model.named_parameters()] == ["w"]
    assert not list(model.buffers())
