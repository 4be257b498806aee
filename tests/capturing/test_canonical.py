"""Every spelling of an operator becomes one node; an operator without an exact canonical form is not changed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_graphs import operators_of, outputs_of
from tiny_nets.net import IMAGE, OneInput, TwoInputs
from torch import Tensor, fx, nn

from fxpasses.capturing.attempts import Method, capture
from fxpasses.graph.edit import operator_of

SIZE = (9, 7)
IMAGES = torch.rand(IMAGE, generator=torch.Generator().manual_seed(0)) - 0.5


def captured(body: Callable[..., object], method: Method = "trace", **parts: nn.Module | Tensor) -> fx.GraphModule:
    model = (body if isinstance(body, nn.Module) else OneInput(body, **parts)).eval()
    gm = capture(model, IMAGES, method=method)
    for batch in (2, 3):
        inputs = (torch.rand(batch, *IMAGE[1:]) - 0.5,)
        assert all(torch.equal(a, b) for a, b in zip(outputs_of(gm, inputs), outputs_of(model, inputs), strict=True))
    return gm


def calls(gm: fx.GraphModule) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """The target, the positional arguments after the first, and the settings of each call."""
    found = [n for n in gm.graph.nodes if n.op.startswith("call_")]
    return [(n.target, tuple(n.args[1:]), dict(n.kwargs)) for n in found]


SPELLINGS: dict[str, tuple[tuple[Any, tuple[Any, ...], dict[str, Any]], list[Callable[[Any, Any], object]]]] = {
    "relu": (
        (torch.relu, (), {}),
        [
            lambda net, x: x.relu(),
            lambda net, x: F.relu(x),
            lambda net, x: F.relu(input=x),
            nn.ReLU(),
            lambda net, x: x.clamp(min=0),
            lambda net, x: torch.clip(x, 0.0),
            lambda net, x: x.relu_(),
        ],
    ),
    "relu6": (
        (torch.clamp, (), {"min": 0.0, "max": 6.0}),
        [
            lambda net, x: F.relu6(x),
            nn.ReLU6(),
            lambda net, x: x.clamp(0.0, 6.0),
            lambda net, x: F.hardtanh(x, 0.0, 6.0),
            nn.Hardtanh(0.0, 6.0),
        ],
    ),
    "hardtanh": (
        (torch.clamp, (), {"min": -1.0, "max": 1.0}),
        [lambda net, x: F.hardtanh(x), nn.Hardtanh(), lambda net, x: F.hardtanh(x, max_val=1.0)],
    ),
    "add": (
        (torch.add, (2,), {}),
        [
            lambda net, x: x + 2,
            lambda net, x: 2 + x,
            lambda net, x: x.add(2),
            lambda net, x: torch.add(x, 2, alpha=1),
            lambda net, x: torch.add(input=x, other=2),
        ],
    ),
    "mean": (
        (torch.mean, (), {"dim": 1, "keepdim": True}),
        [
            lambda net, x: x.mean(1, keepdim=True),
            lambda net, x: torch.mean(x, 1, True),
            lambda net, x: x.mean(axis=1, keepdim=True),
            lambda net, x: x.mean(dim=1, keepdim=True, dtype=None),
        ],
    ),
    "permute": (
        (torch.permute, (), {"dims": (0, 2, 3, 1)}),
        [
            lambda net, x: x.permute(0, 2, 3, 1),
            lambda net, x: x.permute((0, 2, 3, 1)),
            lambda net, x: torch.permute(x, (0, 2, 3, 1)),
            lambda net, x: x.permute(dims=(0, 2, 3, 1)),
        ],
    ),
    "slice": (
        (operator.getitem, ((slice(None), slice(1, 4)),), {}),
        [lambda net, x: x[:, 1:4], lambda net, x: x.narrow(1, 1, 3), lambda net, x: torch.narrow(x, 1, 1, 3)],
    ),
    "select": (
        (operator.getitem, ((slice(None), slice(None), 2),), {}),
        [lambda net, x: x[:, :, 2], lambda net, x: x.select(2, 2), lambda net, x: x.select(-2, 2)],
    ),
    "pad": (
        (F.pad, (), {"pad": (1, 2, 0, 1), "mode": "constant", "value": 0.5}),
        [lambda net, x: F.pad(x, (1, 2, 0, 1), "constant", 0.5), lambda net, x: F.pad(x, (1, 2, 0, 1), value=0.5)],
    ),
    "interpolate": (
        (F.interpolate, (), {"scale_factor": 2.0, "mode": "nearest"}),
        [
            lambda net, x: F.interpolate(x, scale_factor=2.0),
            nn.Upsample(scale_factor=2.0),
            lambda net, x: F.interpolate(x, None, 2.0, "nearest", antialias=False),
        ],
    ),
    "softmax": (
        (torch.softmax, (), {"dim": 1}),
        [
            lambda net, x: F.softmax(x, dim=1),
            lambda net, x: x.softmax(1),
            nn.Softmax(1),
            lambda net, x: torch.softmax(x, dim=1, dtype=None),
        ],
    ),
}


@pytest.mark.parametrize(
    ("expected", "body"),
    [pytest.param(e, b, id=f"{k}-{i}") for k, (e, bs) in SPELLINGS.items() for i, b in enumerate(bs)],
)
def test_each_spelling_is_one_call(expected: tuple[Any, ...], body: Callable[..., object]) -> None:
    assert calls(captured(body)) == [expected]


@pytest.mark.parametrize("shape", [(2, -1), ((2, -1),)])
@pytest.mark.parametrize("name", ["view", "reshape"])
def test_sizes_may_be_spread_or_not(name: str, shape: tuple[Any, ...]) -> None:
    model = OneInput(lambda net, x: getattr(x, name)(*shape)).eval()
    assert calls(capture(model, IMAGES)) == [(torch.reshape, (), {"shape": (2, -1)})]


@pytest.mark.parametrize(
    "body",
    [
        lambda net, x: x.view(x.size()),
        lambda net, x: x.view(x.shape),
        lambda net, x: x.flatten(2).view(x.shape[:2] + SIZE),
        lambda net, x: x.view(x.size(0), -1),
        lambda net, x: x.view(x.size(0) * 5, -1),
        lambda net, x: x[:1].expand(x.size()),
    ],
)
def test_sizes_computed_in_the_graph(body: Callable[..., object]) -> None:
    assert operators_of(captured(body))[-1] in ("reshape", "expand")


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (lambda net, x: 1 - x, "sub"),
        (lambda net, x: 1 / x, "truediv"),
        (lambda net, x: torch.mean(x, 1, dtype=torch.float64), "mean"),
        (lambda net, x: torch.clamp(x, min=net.floor), "clamp"),
        (lambda net, x: F.max_pool2d(x, 2, return_indices=True), "max_pool2d_with_indices"),
        (lambda net, x: x.view(torch.int32), "view"),
        (lambda net, x: x.narrow(1, -2, 2), "narrow"),
    ],
    ids=["rsub", "rdiv", "mean dtype", "clamp by tensor", "pool indices", "view of bits", "narrow from the end"],
)
def test_what_has_no_canonical_form_stays_and_is_no_operator(body: Callable[..., object], left: str) -> None:
    from fxpasses.graph.operator_table import VOCABULARY

    gm = captured(body, floor=torch.zeros(7))
    call = next(n for n in gm.graph.nodes if n.op.startswith("call_"))
    assert getattr(call.target, "__name__", call.target) == left
    assert VOCABULARY.operator(gm, call) is None


def test_a_scaled_sum_keeps_its_scale_and_its_order() -> None:
    model = TwoInputs(lambda net, x, y: torch.add(x, y, alpha=2)).eval()
    assert calls(capture(model, (IMAGES, IMAGES * 3)))[0][2] == {"alpha": 2}


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize(
    ("body", "pieces"),
    [
        (lambda net, x: (lambda p: torch.cat((p[1], p[0]), 1))(x.chunk(2, dim=1)), [slice(3, 5), slice(0, 3)]),
        (lambda net, x: (lambda p: torch.cat((p[1], p[0]), 1))(torch.split(x, [1, 4], -3)), [slice(1, 5), slice(0, 1)]),
        (lambda net, x: (lambda p: torch.cat((p[2], p[0]), 1))(x.split(2, 1)), [slice(4, 5), slice(0, 2)]),
        (lambda net, x: (lambda p: torch.cat((p[-1], p[-3]), 1))(x.split(2, 1)), [slice(4, 5), slice(0, 2)]),
        (lambda net, x: (lambda p: p[1] - p[3])(x.unbind(1)), [1, 3]),
    ],
)
def test_splits_are_opened_into_slices(body: Callable[..., object], pieces: list[Any], method: Method) -> None:
    gm = captured(body, method)
    taken = [n.args[1][1] for n in gm.graph.nodes if n.target is operator.getitem]
    assert sorted(map(str, taken)) == sorted(map(str, pieces))
    assert not {"chunk", "split", "unbind"} & set(operators_of(gm))


def test_a_split_of_the_batch_is_not_opened() -> None:
    model = OneInput(lambda net, x: x.chunk(2)[0] * 2).eval()
    gm = capture(model, IMAGES)
    assert operators_of(gm)[0] == "chunk"
    four = torch.rand(4, *IMAGE[1:])
    assert torch.equal(gm(four), model(four))


def test_whole_slices_empty_pads_and_checks_are_gone() -> None:
    def body(net: Any, x: Tensor) -> Tensor:
        torch._assert(x.shape[1] == 5, "five channels")
        return F.pad(x[:, :], (0, 0, 0, 0)).relu()

    assert operators_of(captured(body)) == ["relu"]


@pytest.mark.parametrize("method", ["trace", "export"])
def test_tensors_of_no_elements_are_not_joined(method: Method) -> None:
    assert calls(captured(lambda net, x: torch.cat([x[:, :0], x], 1).relu(), method)) == [(torch.relu, (), {})]
    gm = captured(lambda net, x: torch.cat([x, x[..., :0], x], -1), method)
    (joined,) = (n for n in gm.graph.nodes if n.target is torch.cat)
    assert len(joined.args[0]) == 2
    assert any(n.target is torch.cat for n in captured(lambda net, x: torch.cat([x[:0], x]), method).graph.nodes)


@pytest.mark.parametrize("method", ["trace", "export"])
def test_a_type_that_the_input_has_is_no_setting(method: Method) -> None:
    gm = captured(lambda net, x: F.softmax(x, -1, dtype=torch.float32), method)
    assert operators_of(gm) == ["softmax"]
    gm = captured(lambda net, x: F.softmax(x, -1, dtype=torch.float64), method)
    assert "softmax" not in [op.name for op in map(partial(operator_of, gm), gm.graph.nodes) if op is not None]


OTHER_WORDS: dict[str, tuple[Callable[[Any, Any], object], list[str]]] = {
    "beside": (lambda net, x: torch.hstack([x, x + 1]), ["add", "cat"]),
    "columns": (lambda net, x: torch.column_stack([x, x + 1]), ["add", "cat"]),
    "below": (lambda net, x: torch.vstack([x, x + 1]), ["add", "cat"]),
    "behind": (lambda net, x: torch.dstack([x, x + 1]), ["add", "cat"]),
    "a moved dimension": (lambda net, x: x.movedim(1, -1), ["permute"]),
    "moved dimensions": (lambda net, x: torch.moveaxis(x, (3, 1), (1, 2)), ["permute"]),
    "transposed matrices": (lambda net, x: x.mT, ["transpose"]),
    "a transposed matrix": (lambda net, x: x[:, 0, 0].T, ["slice", "transpose"]),
    "an adjoint": (lambda net, x: torch.adjoint(x), ["transpose"]),
}


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize("case", OTHER_WORDS)
def test_other_words_for_it(case: str, method: Method) -> None:
    body, expected = OTHER_WORDS[case]
    model = OneInput(body).eval()
    gm = capture(model, IMAGES, method=method)
    assert [name for name in operators_of(gm) if name != "slice"] == [name for name in expected if name != "slice"]
    assert torch.equal(gm(IMAGES), model(IMAGES))


def test_an_adjoint_of_complex_numbers_is_none_of_them() -> None:
    gm = captured(lambda net, x: torch.imag(torch.adjoint(torch.complex(x, x + 1))))
    assert "transpose" not in operators_of(gm)


VECTORS: dict[str, Callable[[Any, Any], object]] = {
    "beside": lambda net, x: torch.hstack([x[:, 0, 0, 0], x[:, 0, 0, 1]]),
    "below": lambda net, x: torch.vstack([x[:, 0, 0, 0], x[:, 0, 0, 1]]),
    "behind": lambda net, x: torch.dstack([x[:, 0, 0], x[:, 0, 1]]),
}


@pytest.mark.parametrize("case", VECTORS)
def test_stacks_of_tensors_with_few_dimensions_are_no_cat(case: str) -> None:
    model = OneInput(VECTORS[case]).eval()
    gm = capture(model, IMAGES, method="trace")
    assert "cat" not in operators_of(gm)
    assert torch.equal(gm(IMAGES), model(IMAGES))


def test_exported_names_are_the_same_operators() -> None:
    def body(net: Any, x: Tensor) -> Tensor:
        y = F.interpolate(x[:, 1:, ..., -3:], scale_factor=2, mode="bilinear")
        y = torch.cat([F.elu(y), F.hardswish(y) * y.mean((2, 3), keepdim=True)], 1)
        return F.gelu(F.leaky_relu(F.pad(y, (1, 1), value=1.0), 0.2)).select(1, 0)[0].t()

    after = ["interpolate", "elu", "hardswish", "mean", "mul", "cat", "pad", "leaky_relu", "gelu", "slice", "slice"]
    assert operators_of(captured(body, "trace")) == ["slice", *after, "transpose"]
    assert operators_of(captured(body, "export")) == ["slice", "slice", *after, "transpose"]
