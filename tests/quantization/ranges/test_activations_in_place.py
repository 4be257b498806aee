"""Graphs whose activations overwrite their layer's result compute the same numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tiny_graphs import fresh_inputs, fused, outputs_of
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.quantization.ranges.activations_in_place import with_activations_in_place

WRITES = (torch.relu_, torch.clamp_)


class Between(nn.Module):
    """Model in which ``read`` gets a layer's result ``y`` and the input ``x``."""

    def __init__(self, read: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.conv(x), x)


def graph_of(read: Callable[[Tensor, Tensor], Tensor]) -> fx.GraphModule:
    return fxpasses.fuse(fxpasses.capture(Between(read).eval(), torch.randn(2, 3, 4, 4)))


def written(gm: fx.GraphModule) -> list[str]:
    twin, _ = with_activations_in_place(gm)
    return [n.name for n in twin.graph.nodes if n.target in WRITES or n.kwargs.get("inplace")]


@pytest.mark.parametrize("name", each_net(sorted(TINY)))
def test_outputs_are_equal_and_the_graph_stays(name: str) -> None:
    gm = fused(name)
    inputs, code = fresh_inputs(TINY[name], seed=1), gm.code
    expected = outputs_of(gm, inputs)
    twin, _ = with_activations_in_place(gm)
    for given in (inputs, inputs):  # a second time: nothing that lasts was written to
        for found, exact in zip(outputs_of(twin, given), expected, strict=True):
            torch.testing.assert_close(found, exact, rtol=0, atol=0)
    assert gm.code == code


@pytest.mark.parametrize(
    "activation",
    [torch.relu, F.relu6, F.hardswish, F.silu, lambda y: y.clamp(-1, 1)],
    ids=["relu", "relu6", "hardswish", "silu", "clamp"],
)
def test_what_a_layer_or_a_sum_made_is_written_to(activation: Callable[[Tensor], Tensor]) -> None:
    assert len(written(graph_of(lambda y, x: activation(y)))) == 1
    assert len(written(graph_of(lambda y, x: activation(y + x)))) == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda y, x: torch.relu(y) + y,
        lambda y, x: torch.relu(x) + y,
        lambda y, x: torch.relu(y.flatten(1)),
    ],
    ids=["read twice", "an input", "a view"],
)
def test_what_someone_else_may_see_is_not(read: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert written(graph_of(read)) == []


class Places(nn.Module):
    """Integers that a clamp converts to floats."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x + x, min=0.5, max=3.5)


def test_integers_are_left_alone() -> None:
    x = torch.arange(-2, 4).reshape(1, 6)
    gm = fxpasses.capture(Places().eval(), x)
    twin, _ = with_activations_in_place(gm)
    assert written(gm) == []
    assert torch.equal(twin(x), gm(x))


class Bounded(nn.Module):
    """A clamp whose bound is a tensor with a larger shape than the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(self.linear(x), min=x)


def test_bounds_that_are_tensors_are_left_alone() -> None:
    x = torch.randn(2, 3)
    gm = fxpasses.capture(Bounded().eval(), x)
    assert written(gm) == []
    assert torch.equal(with_activations_in_place(gm)[0](x), gm(x))


def test_a_layer_with_a_hook_is_left_alone() -> None:
    kept: list[Tensor] = []
    gm = graph_of(lambda y, x: torch.relu(y))
    gm.get_submodule("conv").register_forward_hook(lambda layer, given, made: kept.append(made))
    x = torch.randn(2, 3, 4, 4)
    with_activations_in_place(gm)[0](x)
    assert bool((kept[0] < 0).any())


def test_nodes_are_matched_and_modules_shared() -> None:
    gm = fused("conv_bn_relu")
    twin, copies = with_activations_in_place(gm)
    assert list(copies) == list(gm.graph.nodes)
    assert list(copies.values()) == list(twin.graph.nodes)
    assert [n.name for n in copies] == [n.name for n in copies.values()]
    assert all(twin.get_submodule(name) is gm.get_submodule(name) for name, _ in twin.named_children())
