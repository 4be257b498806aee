"""A graph changes its own containers, but no object of the user's."""

from __future__ import annotations

import torch
from torch import fx, nn

from fxpasses.graph.ownership import drop_unread_tensors, owned_module, place_module, replace_buffer, tensor_at


def graph() -> fx.GraphModule:
    """Calls the user's linear layer ``a.linear`` and reads ``b.weight`` and ``b.bias`` of another."""
    model = nn.ModuleDict({"a": nn.ModuleDict({"linear": nn.Linear(3, 3)}), "b": nn.Linear(3, 3)})
    made = fx.Graph()
    x = made.call_module("a.linear", (made.placeholder("x"),))
    made.output(made.call_function(nn.functional.linear, (x, made.get_attr("b.weight"), made.get_attr("b.bias"))))
    return fx.GraphModule(model, made)


def test_bare_containers_are_the_graphs_own() -> None:
    gm = graph()
    assert owned_module(gm, "") is gm
    assert owned_module(gm, "a") is gm.get_submodule("a")
    assert owned_module(gm, "a.linear") is None
    assert owned_module(gm, "absent") is None


def test_tensors_are_found_by_path() -> None:
    gm = graph()
    assert tensor_at(gm, "b.weight") is gm.get_parameter("b.weight")
    assert tensor_at(gm, "a.linear") is None
    assert tensor_at(gm, "b.absent") is None


def test_a_module_takes_the_place_of_the_holder_of_its_tensors() -> None:
    gm = graph()
    layer = nn.Linear(3, 3)
    layer.weight, layer.bias = gm.get_parameter("b.weight"), gm.get_parameter("b.bias")
    assert place_module(gm, "b", layer) == "b"
    assert gm.get_submodule("b") is layer
    assert place_module(gm, "b", nn.Linear(3, 3)) == "b_1"


def test_a_holder_of_other_tensors_stays() -> None:
    gm = graph()
    assert place_module(gm, "b", nn.Linear(3, 3)) == "b_1"
    assert place_module(gm, "b.inner", nn.Linear(3, 3)) == "b.inner"
    assert place_module(gm, "a", nn.Linear(3, 3)) == "a_1"


def test_a_place_inside_the_users_module_is_moved_to_the_root() -> None:
    gm = graph()
    assert place_module(gm, "a.linear.extra", nn.ReLU()) == "a_linear_extra"
    assert not list(gm.get_submodule("a.linear").children())


def test_tensors_that_nobody_reads_are_dropped_from_own_containers_only() -> None:
    gm = graph()
    gm.register_buffer("left", torch.zeros(3))
    gm.get_submodule("b").register_buffer("left", torch.zeros(3))
    drop_unread_tensors(gm)
    assert set(gm.state_dict()) == {"a.linear.weight", "a.linear.bias", "b.weight", "b.bias"}


def test_other_values_of_a_buffer_leave_those_that_share_its_memory() -> None:
    gm = fx.GraphModule(nn.Module(), fx.Graph())
    layer = nn.Module()
    integers = torch.arange(4, dtype=torch.int8)
    layer.register_buffer("first", integers)
    layer.register_buffer("second", integers.view_as(integers))
    gm.add_module("layer", layer)
    replace_buffer(gm, "layer.first", torch.full((4,), 3.0))
    first, second = gm.get_buffer("layer.first"), gm.get_buffer("layer.second")
    assert first.dtype is torch.int8 and first.tolist() == [3, 3, 3, 3]
    assert second.tolist() == [0, 1, 2, 3]
    assert [name for name, _ in gm.named_buffers()] == ["layer.first", "layer.second"]
