"""Programs rebuilt from records: the result, and refusals of records that ``save`` never writes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pt2_seeds import PROGRAM, WEIGHTS, entries_of
from tiny_graphs import fresh_inputs, outputs_of, quantized
from tiny_nets.all_nets import TINY

from fxpasses.export.pt2_program.program import read_program
from fxpasses.export.pt2_records.records import RefusedError


@pytest.mark.parametrize("name", ["two_inputs", "two_outputs", "dict_output", "attention"])
def test_a_program_computes_what_the_graph_did(name: str) -> None:
    gm = read_program(entries_of(name))
    inputs = fresh_inputs(TINY[name], 7, 3)
    found, expected = outputs_of(gm, inputs), outputs_of(quantized(name), inputs)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert {n.op for n in gm.graph.nodes} <= {"placeholder", "get_attr", "call_function", "output"}


def test_the_code_that_is_compiled_holds_only_names_and_numbers() -> None:
    code = read_program(entries_of("dict_output")).code
    assert "'logits'" in code and "eval" not in code and "getattr" not in code


def _changed(edit: Callable[[Any], None], net: str = "conv_bn_relu") -> dict[str, bytes]:
    entries = entries_of(net)
    program = json.loads(entries[PROGRAM])
    edit(program)
    return entries | {PROGRAM: json.dumps(program).encode()}


def _module(edit: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda program: edit(program["graph_module"])


def _call(**changed: Any) -> Callable[[Any], None]:
    return _module(lambda module: module["module_call_graph"][0]["signature"].update(changed))


def _spec(**keywords: Any) -> str:
    from torch.utils import _pytree as pytree

    value = ((torch.zeros(1),), {k: torch.zeros(1) for k in keywords})
    return pytree.treespec_dumps(pytree.tree_structure(value))


def _last_node(module: Any) -> Any:
    return module["graph"]["nodes"][-1]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda p: p.update(schema_version={"major": 3}), "another schema"),
        (_module(lambda m: m["graph"]["inputs"].pop()), "inputs with"),
        (_module(lambda m: m["signature"]["input_specs"][0].update(token={})), "2 things at once"),
        (_module(lambda m: m["signature"]["input_specs"].__setitem__(0, {"token": {}})), "token, which no saved graph"),
        (
            _module(lambda m: m["signature"]["output_specs"].__setitem__(0, {"token": {}})),
            "outputs that no saved graph",
        ),
        (
            _module(lambda m: m["signature"]["input_specs"][0]["buffer"].update(buffer_name="other")),
            "no tensor for other",
        ),
        (_module(lambda m: m["module_call_graph"].clear()), "how it is called"),
        (_call(in_spec="[1, null]"), "no table"),
        (_call(in_spec=_spec(x=1)), "arguments by keyword"),
        (_call(forward_arg_names=["x", "y"]), "2 different names for 1 arguments"),
        (_call(forward_arg_names=["self"]), "may run code"),
        (_call(forward_arg_names=["x=1"]), "may run code"),
        (
            _call(out_spec='[1, {"type": "builtins.tuple", "context": "null", "children_spec": []}]'),
            "not the 1 outputs",
        ),
        (_module(lambda m: _last_node(m).update(outputs=[])), "gives one value, not 0"),
        (_module(lambda m: _last_node(m).update(outputs=[{"as_int": 1}])), "gives as_int, which no saved graph does"),
        (_module(lambda m: m["graph"]["nodes"].append(copy.deepcopy(_last_node(m)))), "is made twice"),
        (_module(lambda m: m["graph"]["nodes"].pop(0)), "which nothing before it makes"),
    ],
)
def test_what_is_refused(edit: Callable[[Any], None], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        read_program(_changed(edit))


@pytest.mark.parametrize(("one", "other", "why"), [("a", "a.b", "a.b lies inside"), ("a.b", "a", "a is there twice")])
def test_tensors_in_each_others_way(one: str, other: str, why: str) -> None:
    entries = entries_of()
    first, second, *_ = json.loads(entries[WEIGHTS])["config"]
    pairs = {first: one, second: other}
    for name in (PROGRAM, WEIGHTS):
        text = entries[name].decode()
        for old, new in pairs.items():
            text = text.replace(f'"{old}"', f'"{new}"')
        entries[name] = text.encode()
    with pytest.raises(RefusedError, match=why):
        read_program(entries)


def test_checks_of_torch_export_are_left_out() -> None:
    def add(module: Any) -> None:
        message = [{"name": "assert_msg", "arg": {"as_string": "it's (x)"}, "kind": 1}]
        node = {"target": "torch.ops.aten._assert_scalar.default", "inputs": message, "outputs": [], "metadata": {}}
        module["graph"]["nodes"].insert(0, node)

    found = read_program(_changed(_module(add)))
    assert found.code == read_program(entries_of()).code
