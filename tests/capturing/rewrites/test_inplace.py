"""In-place operators become out-of-place ones with the same result, or are refused with the reader that forbids it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_graphs import outputs_of
from tiny_nets.net import IMAGE, OneInput
from torch import Tensor, fx, nn

from fxpasses.capturing.rewrites.inplace import ChangesStateError, is_in_place, make_out_of_place, watch_memory
from fxpasses.capturing.symbolic_trace import trace_graph
from fxpasses.errors import GraphError

IMAGES = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))
Body = Callable[[Any, Tensor], object]


def graph_of(body: Body, **parts: nn.Module | Tensor) -> tuple[fx.GraphModule, nn.Module]:
    model = OneInput(body, **parts).eval()
    return trace_graph(model, (IMAGES,)), model


def assert_nothing_written(gm: fx.GraphModule) -> None:
    assert watch_memory(gm, (IMAGES,)).writes == {}
    assert not any(is_in_place(gm, node) for node in gm.graph.nodes)


def _then_both(change: Callable[[Tensor], Any]) -> Body:
    """Change a tensor, drop what that returns, and read the tensor under its first name."""

    def body(net: Any, x: Tensor) -> Tensor:
        y = x * 3
        change(y)
        return y + x

    return body


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.relu_(),
        torch.relu_,
        F.relu_,
        lambda y: F.relu(y, inplace=True),
        lambda y: F.relu(y, True),
        lambda y: F.threshold(y, 0.1, 2.0, True),
        lambda y: F.hardtanh(y, -0.5, 0.5, inplace=True),
        lambda y: y.mul_(2).add_(1),
        lambda y: y.add_(y),
        lambda y: y.clamp_(0, 1),
        lambda y: y.fill_(0.5),
        lambda y: y.zero_(),
        lambda y: y.masked_fill_(y > 0, 0.25),
        lambda y: torch.ops.aten.sigmoid_.default(y),
        lambda y: torch.ops.aten.mul_.Scalar(y, 2.0),
        lambda y: y.squeeze_(-1).abs_(),
    ],
)
def test_later_readers_get_the_new_value(change: Callable[[Tensor], Any]) -> None:
    gm, model = graph_of(_then_both(change))
    make_out_of_place(gm, (IMAGES,))
    assert_nothing_written(gm)
    assert torch.equal(outputs_of(gm, (IMAGES,))[0], outputs_of(model, (IMAGES,))[0])


def _assigned(y: Tensor, x: Tensor) -> Tensor:
    y += x
    y -= 1
    y *= x
    y /= 2
    y **= 2
    return y


def test_augmented_assignments_change_the_tensor() -> None:
    def body(net: Any, x: Tensor) -> Tensor:
        y = x * 3
        kept = y
        return _assigned(y, x) * kept

    gm, model = graph_of(body)
    make_out_of_place(gm, (IMAGES,))
    assert_nothing_written(gm)
    assert torch.equal(outputs_of(gm, (IMAGES,))[0], outputs_of(model, (IMAGES,))[0])


def test_augmented_assignments_of_numbers_are_just_arithmetic() -> None:
    def body(net: Any, x: Tensor) -> Tensor:
        size = x.size(1)
        size *= 9
        size //= 3
        return x.reshape(x.size(0), size, -1)

    gm, model = graph_of(body)
    make_out_of_place(gm, (IMAGES,))
    assert torch.equal(outputs_of(gm, (IMAGES,))[0], outputs_of(model, (IMAGES,))[0])


@pytest.mark.parametrize("calls", [1, 2])
def test_module_is_replaced_by_a_twin_and_the_models_own_stays(calls: int) -> None:
    model = nn.Sequential(nn.Conv2d(5, 5, 1), act := nn.SELU(inplace=True), *[nn.Conv2d(5, 5, 1), act][: 2 * calls - 2])
    gm = trace_graph(model.eval(), (IMAGES,))
    make_out_of_place(gm, (IMAGES,))
    assert_nothing_written(gm)
    assert act.inplace
    assert gm.get_submodule("1") is not act
    assert torch.equal(outputs_of(gm, (IMAGES,))[0], outputs_of(model, (IMAGES,))[0])


def test_a_view_taken_afterwards_shows_the_new_values() -> None:
    def body(net: Any, x: Tensor) -> Tensor:
        y = x * 3
        y.relu_()
        return y.view(2, -1)

    gm, model = graph_of(body)
    make_out_of_place(gm, (IMAGES,))
    assert torch.equal(outputs_of(gm, (IMAGES,))[0], outputs_of(model, (IMAGES,))[0])


def _through(view: Callable[[Tensor], Tensor], whole_changes: bool) -> Body:
    def body(net: Any, x: Tensor) -> Tensor:
        y = x * 3
        part = view(y)
        (y if whole_changes else part).mul_(2)
        return (part if whole_changes else y) + 1

    return body


@pytest.mark.parametrize("whole_changes", [True, False])
@pytest.mark.parametrize(
    "view",
    [
        lambda y: y[:, :2],
        lambda y: y.view(2, -1),
        lambda y: y.chunk(2, dim=1)[0],
        lambda y: y.unbind(1)[2],
        lambda y: y.detach(),
        lambda y: torch.diagonal(y, dim1=2, dim2=3),  # outside the vocabulary: seen by running it
        lambda y: y.permute(0, 2, 3, 1)[0],
        lambda y: y.contiguous(),
    ],
)
def test_memory_read_through_another_name_is_refused(view: Callable[[Tensor], Tensor], whole_changes: bool) -> None:
    gm, _ = graph_of(_through(view, whole_changes))
    message = r"in place, and '.+' reads the same memory later through '.+'[\s\S]*method='export'"
    with pytest.raises(GraphError, match=message):
        make_out_of_place(gm, (IMAGES,))


def test_a_copy_is_no_view() -> None:
    gm, model = graph_of(_through(lambda y: y.repeat(1, 1, 1, 1), whole_changes=True))
    make_out_of_place(gm, (IMAGES,))
    assert torch.equal(outputs_of(gm, (IMAGES,))[0], outputs_of(model, (IMAGES,))[0])


def test_a_reshape_that_copied_may_be_a_view_next_time() -> None:
    gm, _ = graph_of(_through(lambda y: y.transpose(2, 3).reshape(2, -1), whole_changes=True))
    with pytest.raises(GraphError, match="reads the same memory later"):
        make_out_of_place(gm, (IMAGES,))


def test_an_attribute_that_is_a_view_is_refused_too() -> None:
    gm, _ = graph_of(_through(lambda y: y.data, whole_changes=False))
    with pytest.raises(GraphError, match="reads the same memory later"):
        make_out_of_place(gm, (IMAGES,))


class Secretive(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.add_(1).sum()


@pytest.mark.parametrize(
    ("body", "parts", "message"),
    [
        (
            lambda net, x: (net.count.add_(x.mean()), x)[1],
            {"count": torch.zeros(1)},
            "changes 'count', a tensor of the",
        ),
        (
            lambda net, x: (net.table.view(-1).mul_(x.mean()), x)[1],
            {"table": torch.ones(2, 2)},
            "a tensor of the model",
        ),
        (lambda net, x: (net.leaf(x * 1), x)[1], {"leaf": Secretive()}, "inside a module that is kept whole"),
        (lambda net, x: (x * 1).copy_(x), {}, "has no known out-of-place form"),
        (lambda net, x: (x * 1).normal_(), {}, "has no known out-of-place form"),
        (lambda net, x: torch.add(x, 1, out=x * 1), {}, "besides computing a result"),
        (lambda net, x: (x.half() * 1).add_(x), {}, "keeps its type where out of place the result had another"),
    ],
)
def test_refusals(body: Body, parts: dict[str, nn.Module | Tensor], message: str) -> None:
    model = OneInput(body, **parts).eval()
    gm = trace_graph(model, (IMAGES,), leaves=["leaf"] if "leaf" in parts else [])
    with pytest.raises(GraphError, match=message) as caught:
        make_out_of_place(gm, (IMAGES,))
    assert isinstance(caught.value, ChangesStateError) == ("a tensor of the" in str(caught.value))


def test_who_writes_and_who_shares_memory_is_seen() -> None:
    gm, _ = graph_of(lambda net, x: (x * 2).view(2, -1).relu_())
    use = watch_memory(gm, (IMAGES,))
    nodes = {n.name: n for n in gm.graph.nodes}
    assert use.writes == {nodes["relu_"]: [nodes["view"]]}
    assert use.groups()[nodes["mul"]] == {nodes[n] for n in ("mul", "view", "relu_", "output")}
    assert use.dtypes[nodes["mul"]] is torch.float32


def test_a_graph_that_does_not_run_is_a_graph_error() -> None:
    gm, _ = graph_of(lambda net, x: x.reshape(3, 7))
    with pytest.raises(GraphError, match=r"does not run on the example inputs[\s\S]*invalid for input of size"):
        watch_memory(gm, (IMAGES,))


def test_the_inputs_of_the_caller_are_copied() -> None:
    gm, _ = graph_of(lambda net, x: x.mul_(2))
    given = IMAGES.clone()
    make_out_of_place(gm, (given,))
    assert torch.equal(given, IMAGES)
