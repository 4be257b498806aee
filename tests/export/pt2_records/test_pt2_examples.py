"""Example inputs and free sizes as JSON: what is written is read again, and anything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from odd_structures import fc, net

import fxpasses as fx
from fxpasses.export.pt2_records.examples import examples_json, read_examples, read_sizes, sizes_json
from fxpasses.export.pt2_records.records import RefusedError
from fxpasses.signature.examples import examples_of
from fxpasses.signature.free_sizes import free_sizes


def written() -> tuple[Any, dict[str, Any]]:
    given = ({"a": [torch.randn(2, 6), None]}, (torch.randn(2, 5),), "word", 2.5, True)
    gm = fx.capture(net(lambda self, d, t, *rest: self.a(d["a"][0]) + t[0], a=fc)().eval(), given)
    return gm, json.loads(json.dumps({"example_inputs": examples_json(gm), **sizes_json(gm, fixed=False)}))


def test_round_trip() -> None:
    gm, facts = written()
    assert read_examples(facts) == examples_of(gm) and read_sizes(facts, 2) == free_sizes(gm)


def test_files_of_before_say_nothing_of_sizes() -> None:
    assert read_sizes({}, 1) is None


def test_an_example_that_no_file_holds() -> None:
    gm = fx.capture(net(lambda self, x, kind: self.a(x.to(kind)), a=fc)().eval(), (torch.randn(2, 6), torch.float32))
    with pytest.raises(fx.InputError, match=r"(?s)input 1 is a dtype.*fix: wrap the model in a module"):
        examples_json(gm)


REST: dict[str, Any] = {"outputs": [], "tried": {}, "separate": True}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"example_inputs": [{"shape": [1] * 9, "dtype": "float32"}]}, "no usable shape"),
    "dtype": ({"example_inputs": [{"shape": [1], "dtype": "object"}]}, "no usable shape or dtype"),
    "pairs": ({"example_inputs": [{"dict": [["a"]]}]}, "not made of pairs"),
    "inputs": ({"free_sizes": REST | {"inputs": []}}, "tells of 0 inputs"),
    "dimension": (
        {"free_sizes": {"inputs": [{"9": "n"}], "outputs": [], "tried": {}, "separate": True}},
        "dimension 9",
    ),
    "name": ({"free_sizes": {"inputs": [{"0": "a b"}], "outputs": [], "tried": {}, "separate": True}}, "a b"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    facts, match = REFUSED[case]
    with pytest.raises(RefusedError, match=match):
        read_examples(facts) if "example_inputs" in facts else read_sizes(facts, 1)


def test_refuses_what_is_nested_too_deeply() -> None:
    deep: dict[str, Any] = {"value": 1}
    for _ in range(40):
        deep = {"list": [deep]}
    with pytest.raises(RefusedError, match="nested too deeply"):
        read_examples({"example_inputs": [deep]})
