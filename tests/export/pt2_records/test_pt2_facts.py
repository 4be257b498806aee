"""Facts of a program: read completely, or refused by name."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.export.pt2_records.archive import FACTS_ENTRY
from fxpasses.export.pt2_records.facts import facts_table, read_facts
from fxpasses.export.pt2_records.records import RefusedError
from fxpasses.graph.pass_runner import Change, Skip
from fxpasses.quantization.config import Override, QuantConfig

CONFIG = QuantConfig(weight_bits=4, group_size=16, smoothing=0.5, overrides=(Override("node:x", weight_bits=8),))
FACTS: dict[str, Any] = {
    "recipe": json.dumps(asdict(CONFIG)),
    "example_inputs": [{"shape": [2, 3], "dtype": "int64"}, {"value": [1, None, 0.5, "a", {"b": True}]}],
    "names": ["x_int8"],
    "log": [{"name": "fuse", "changed": [["a", "gone"]], "skipped": [["b", "stays"]]}],
}


def _entries(**changed: Any) -> dict[str, bytes]:
    return {FACTS_ENTRY: json.dumps(FACTS | changed).encode()}


def test_what_was_written_comes_back() -> None:
    facts = read_facts(_entries())
    assert facts.config == CONFIG
    assert facts.examples == (((2, 3), torch.int64), [1, None, 0.5, "a", {"b": True}])
    assert facts.names == ["x_int8"]
    (log,) = facts.logs
    assert (log.name, log.result.changed, log.result.skipped) == ("fuse", [Change("a", "gone")], [Skip("b", "stays")])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"example_inputs": [{"shape": [2**31, 2], "dtype": "float32"}]}, "no usable shape or dtype"),
        ({"example_inputs": [{"shape": [1] * 9, "dtype": "float32"}]}, "no usable shape or dtype"),
        ({"example_inputs": [{"shape": [1], "dtype": "os"}]}, r"no usable shape or dtype: \[1\], os"),
        ({"example_inputs": [{}]}, "has no 'value'"),
        ({"example_inputs": [{"value": [[[[[1]]]]]}]}, "no finite number"),
        ({"names": ["x", "x"]}, "two int8 tensors alike"),
        ({"names": ["x()"]}, "may run code"),
        ({"recipe": "{}x"}, "is no JSON"),
        ({"recipe": '{"exact": 1}'}, "has exact 1"),
        ({"recipe": '{"target": null}'}, "has target None"),
        ({"recipe": '{"overrides": [{"match": 3}]}'}, "has match 3"),
        ({"recipe": '{"future": 3}'}, "a setting future"),
        ({"log": [{"name": "x", "changed": [["a"]], "skipped": []}]}, "1 texts"),
        ({"log": [{"name": "x", "skipped": []}]}, "has no 'changed'"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        read_facts(_entries(**changed))


def test_settings_that_contradict_each_other_keep_their_own_reason() -> None:
    with pytest.raises(InputError, match="exact rests on tie-free scales"):
        read_facts(_entries(recipe='{"exact": true, "tie_free": false}'))


def test_a_table_of_another_kind_of_graph() -> None:
    assert facts_table({FACTS_ENTRY: b'{"precision": "fp16"}'}) == {"precision": "fp16"}
    with pytest.raises(RefusedError, match="no table"):
        facts_table({FACTS_ENTRY: b"[]"})
