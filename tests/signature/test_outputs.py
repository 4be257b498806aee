"""Tensors in structures of values and of graphs have the same order; unusual ones are in ``odd_outputs.py``."""

from __future__ import annotations

import torch
from odd_outputs import Answer, Found, Pair
from odd_structures import fc, net

import fxpasses as fx
from fxpasses.signature.outputs import (
    keyed_tensors,
    leaves_of,
    only_tensors,
    output_tensors,
    returns_only_tensors,
    tensors_of,
    with_plain_outputs,
)

X = torch.zeros(2, 6)


def of(returns: object) -> torch.fx.GraphModule:
    return fx.capture(net(lambda self, x: returns(self.a(x)), a=fc)().eval(), X)  # type: ignore[operator]  # a function


def test_leaves() -> None:
    assert list(leaves_of({"a": Pair(1, 2), "b": [Found(3, hidden=(4,)), None]})) == [1, 2, 3, 4, None, None]  # type: ignore[arg-type]


def test_names_and_order_are_those_of_the_values() -> None:
    gm = of(lambda y: {"pair": Pair(y, y + 1), "n": 3, "found": Found(y * 2, hidden=[y * 3])})
    assert [t.name for t in output_tensors(gm)] == ["pair.low", "pair.high", "found.logits", "found.hidden.0"]
    made = dict(zip([t.name for t in output_tensors(gm)], tensors_of(gm(X)), strict=True))
    assert torch.equal(made["found.hidden.0"], made["pair.low"] * 3)
    assert not returns_only_tensors(gm) and returns_only_tensors(of(lambda y: (y, None)))


def test_plain_outputs_are_the_same_values() -> None:
    gm = of(lambda y: (Pair(y, y + 1), Answer(logits=y), 3))
    pair, answer, number = with_plain_outputs(gm)(X)
    assert type(pair) is tuple and type(answer) is dict and list(answer) == ["logits"] and number == 3
    assert [t.shape for t in only_tensors(gm)(X)] == [(2, 5)] * 3
    plain = of(lambda y: [y])
    assert with_plain_outputs(plain) is plain


def test_paths_to_the_tensors_of_a_value() -> None:
    value = {"pair": Pair(X, X + 1), "n": 3, "found": Found(X + 2, hidden=[X + 3])}
    keys, tensors = zip(*keyed_tensors(value), strict=True)
    assert keys == (("pair", "low"), ("pair", "high"), ("found", "logits"), ("found", "hidden", 0))
    assert all(a is b for a, b in zip(tensors, tensors_of(value), strict=True))
    assert [key for key, _ in keyed_tensors(X)] == [()]
