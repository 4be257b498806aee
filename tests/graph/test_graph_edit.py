"""Functions that inspect graphs and change them."""

from __future__ import annotations

import pytest
import torch
from contracts import fingerprint
from odd_nets import ODD
from tiny_graphs import capture_net, captured, node_named, own_copy
from tiny_nets.net import tiny
from torch import Tensor, fx, nn

from fxpasses.errors import GraphError
from fxpasses.graph.edit import (
    add_module,
    bypass,
    call_sites,
    insert_call,
    is_finite,
    is_floating_point,
    module_of,
    only_reader,
    operator_name,
    operator_of,
    replace_node,
    respell,
    why_not_plain,
    why_not_replaceable,
    with_parameters,
)


def test_module_of_gives_the_module_asked_for() -> None:
    gm = captured("conv_bn_relu")
    assert isinstance(module_of(gm, node_named(gm, "_0"), nn.Conv2d), nn.Conv2d)


def test_module_of_another_kind() -> None:
    gm = captured("conv_bn_relu")
    with pytest.raises(GraphError, match="expected a call of Linear or Conv1d, found Conv2d"):
        module_of(gm, node_named(gm, "_0"), (nn.Linear, nn.Conv1d))


def test_module_of_no_module() -> None:
    gm = captured("conv_bn_relu")
    with pytest.raises(GraphError, match="expected a call of Linear, found NoneType"):
        module_of(gm, next(iter(gm.graph.nodes)), nn.Linear)


def test_operator_of_layers_functions_and_strangers() -> None:
    gm = captured("conv_bn_relu")
    assert [operator_name(gm, n) for n in gm.graph.nodes] == [None, "conv2d", "batch_norm", "relu", None]
    operator = operator_of(gm, node_named(gm, "_0"))
    assert operator is not None and operator.weight_axis == 0


def test_call_sites_counts_a_module_under_all_its_names() -> None:
    class TwoNames(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(5, 5, 1)
            self.second = self.first

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = torch.relu(self.first(x)) + self.second(x)
            return out

    gm = capture_net(tiny("two_names", TwoNames))
    first = next(n for n in gm.graph.nodes if n.op == "call_module")
    assert len(call_sites(gm, first)) == 2
    assert why_not_replaceable(gm, first) == f"the layer of {first.name} is called at 2 places"


def test_only_reader() -> None:
    gm = captured("conv_bn_relu")
    assert only_reader(node_named(gm, "_0")) is node_named(gm, "_1")


@pytest.mark.parametrize("name", ["conv_with_two_readers", "conv_read_by_relu_and_output"])
def test_two_readers_are_none(name: str) -> None:
    gm = captured(name)
    assert only_reader(node_named(gm, "conv")) is None


def test_a_reader_that_reads_twice_is_none() -> None:
    """``y + y`` is one node, and replacing one of its arguments would leave the other."""
    gm = captured("add_to_itself")
    assert only_reader(node_named(gm, "a")) is None
    assert only_reader(node_named(captured("cat_same_twice"), "a")) is None


def test_nobody_is_none() -> None:
    gm = own_copy(captured("conv_bn_relu"))
    assert only_reader(gm.graph.output_node()) is None


def test_a_layer_whose_parameters_are_read_must_stay() -> None:
    gm = capture_net(ODD["weight_read_elsewhere"])
    assert why_not_replaceable(gm, node_named(gm, "conv")) == "the layer of conv is read by conv_bias too"


def test_a_layer_inside_a_black_box_must_stay() -> None:
    class Box(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(5, 5, 1)

    gm = own_copy(captured("conv_bn_relu"))
    conv = node_named(gm, "_0")
    box = Box()
    box.conv = module_of(gm, conv, nn.Conv2d)
    gm.add_submodule("box", box)
    with gm.graph.inserting_after(conv):
        gm.graph.call_module("box", (conv,))
    assert why_not_replaceable(gm, conv) == "the layer of _0 is read by box too"


def test_an_ordinary_layer_may_go() -> None:
    gm = captured("conv_bn_relu")
    assert why_not_replaceable(gm, node_named(gm, "_0")) is None


def test_hooks_are_seen() -> None:
    layer = nn.Linear(2, 2)
    assert why_not_plain(layer) is None
    layer.register_forward_hook(lambda module, inputs, output: output)
    assert why_not_plain(layer) == "a forward hook sees its input or changes its output"
    before = nn.Linear(2, 2)
    before.register_forward_pre_hook(lambda module, inputs: None)
    assert why_not_plain(before) == "a forward hook sees its input or changes its output"


def test_computed_weights_are_seen() -> None:
    why = "its weight is computed at every call, by a hook or a parametrization"
    assert why_not_plain(nn.utils.spectral_norm(nn.Linear(2, 2))) == why
    assert why_not_plain(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))) == why


def test_bypass_drops_the_node_and_its_module() -> None:
    gm = own_copy(captured("conv_bn_relu"))
    bypass(gm, node_named(gm, "_1"), node_named(gm, "_0"))
    gm.graph.lint()
    assert [n.name for n in gm.graph.nodes] == ["input_1", "_0", "relu", "output"]
    assert "1" not in dict(gm.named_modules())


class Nested(nn.Module):
    """Model with layers in nested modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Sequential(nn.Sequential(nn.Tanh())), nn.Sequential(nn.Tanh(), nn.Conv2d(3, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.second(self.first(x))
        return made


def modules_without(name: str, *calls_as_well: str) -> list[str]:
    """Remaining modules after a node is bypassed, while others are called too."""
    gm = fx.symbolic_trace(Nested().eval())
    node = node_named(gm, name)
    with gm.graph.inserting_after(node):
        for target in calls_as_well:
            gm.graph.call_module(target, (node,))
    bypass(gm, node, node.all_input_nodes[0])
    return sorted(path for path, _ in gm.named_modules() if path)


def test_bypass_drops_what_held_the_module_alone() -> None:
    assert modules_without("first_0_0") == ["second", "second.0", "second.1"]
    assert modules_without("second_0") == ["first", "first.0", "first.0.0", "second", "second.1"]


@pytest.mark.parametrize("other", ["first", "first.0", "first.0.0"])
def test_bypass_keeps_a_module_that_others_call_or_hold(other: str) -> None:
    kept = ["first", "first.0", "first.0.0", "second", "second.0", "second.1"]
    assert modules_without("first_0_0", other) == kept


def test_insert_call_inherits_and_replace_node_hands_over() -> None:
    gm = own_copy(captured("conv_bn_relu"))
    relu = node_named(gm, "relu")
    new = insert_call(gm, relu, torch.clamp, relu.args[0], like=relu, min=0)
    assert new.meta == relu.meta and new.meta is not relu.meta
    replace_node(gm, relu, new)
    gm.graph.lint()
    assert gm.graph.output_node().all_input_nodes == [new]


def test_replace_node_by_one_that_reads_it() -> None:
    """``relu`` is replaced by a clamp of it: the clamp itself continues to read the input of ``relu``."""
    gm = own_copy(captured("conv_bn_relu"))
    bn = node_named(gm, "_1")
    inserted = insert_call(gm, node_named(gm, "relu"), torch.neg, bn)
    bn.replace_all_uses_with(inserted, delete_user_cb=lambda user: user is not inserted)
    assert inserted.all_input_nodes == [bn]


def test_respell_keeps_the_name_and_the_tensors() -> None:
    gm = own_copy(captured("conv_bn_relu"))
    relu = node_named(gm, "relu")
    inputs = relu.all_input_nodes
    respell(relu, torch.clamp, min=0.0, max=6.0)
    assert (relu.name, relu.all_input_nodes, relu.kwargs) == ("relu", inputs, {"min": 0.0, "max": 6.0})
    assert operator_name(gm, relu) == "clip"


def test_with_parameters_leaves_the_module_alone() -> None:
    layer = nn.Conv2d(2, 3, 1, stride=2, bias=False)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    twin = with_parameters(layer, weight=torch.ones(3, 2, 1, 1), bias=torch.ones(3))
    assert layer.bias is None and torch.equal(layer.weight, before["weight"])
    assert twin.stride == (2, 2) and twin.bias is not None and twin.training == layer.training
    assert torch.equal(twin(torch.ones(1, 2, 1, 1)).flatten(), torch.full((3,), 3.0))
    assert isinstance(twin.weight, nn.Parameter) and isinstance(twin.bias, nn.Parameter)


def test_with_parameters_can_take_one_away() -> None:
    layer = nn.Linear(2, 3)
    assert with_parameters(layer, bias=None).bias is None
    assert layer.bias is not None


def test_add_module_finds_a_free_name() -> None:
    gm = own_copy(captured("conv_bn_relu"))
    names = [add_module(gm, "extra", nn.ReLU()) for _ in range(3)]
    assert names == ["extra", "extra_1", "extra_2"]
    assert add_module(gm, "0", nn.ReLU()) == "0_1"
    assert add_module(gm, "graph", nn.ReLU()) != "graph"


def test_add_module_in_a_nested_place() -> None:
    gm = own_copy(captured("nested_names"))
    assert add_module(gm, "0.0", nn.ReLU()) == "0.0_1"
    assert isinstance(gm.get_submodule("0.0"), nn.Conv2d)


def test_is_floating_point() -> None:
    gm = capture_net(ODD["clip_of_integers"])
    kinds = {operator_name(gm, n): is_floating_point(n) for n in gm.graph.nodes}
    assert kinds["clip"] is False and kinds["embedding"] is True
    assert is_floating_point(next(n for n in gm.graph.nodes if n.op == "placeholder")) is False


def test_is_finite() -> None:
    assert is_finite(None, torch.ones(2))
    assert not is_finite(torch.ones(2), torch.tensor([1.0, float("inf")]))
    assert not is_finite(torch.tensor(float("nan")))


def test_question_words_never_edit() -> None:
    gm = own_copy(captured("shared_conv_one_bn"))
    before = fingerprint(gm)
    for node in gm.graph.nodes:
        only_reader(node), operator_name(gm, node), is_floating_point(node)
        if node.op == "call_module":
            call_sites(gm, node), why_not_replaceable(gm, node)
    assert fingerprint(gm) == before
