"""Programs that would run code: each has Python in the place of a name, an operator, an expression or a spec.

An attack changes the entries of an archive. ``code`` is an expression that leaves a trace when it is evaluated; it
holds no dot, because torch.fx splits attribute paths there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pt2_bad_names import IN_NAMES, OPERATOR_NAMES
from pt2_seeds import CONSTANTS, FACTS, PROGRAM, WEIGHTS, Entries, edit_json, renamed

Attack = Callable[[Entries, str], None]


def _signature(program: Any) -> Any:
    return program["graph_module"]["module_call_graph"][0]["signature"]


def _nodes(program: Any) -> list[Any]:
    nodes: list[Any] = program["graph_module"]["graph"]["nodes"]
    return nodes


def _argument_name(form: str) -> Attack:
    """Attack in the place of the net's argument."""

    def attack(entries: Entries, code: str) -> None:
        edit_json(entries, PROGRAM, lambda p: _signature(p).update(forward_arg_names=[form.replace("CODE", code)]))

    return attack


def _another_argument(form: str) -> Attack:
    """Attack after the net's arguments, where torch.fx writes the name into the signature and nowhere else."""

    def attack(entries: Entries, code: str) -> None:
        def edit(program: Any) -> None:
            names = _signature(program).get("forward_arg_names") or ["x"]
            _signature(program)["forward_arg_names"] = [*names, form.replace("CODE", code)]

        edit_json(entries, PROGRAM, edit)

    return attack


def _buffer_name(form: str) -> Attack:
    """Attack in the place of a buffer's name, in the signature and among the weights."""

    def attack(entries: Entries, code: str) -> None:
        old, new = next(iter(json.loads(entries[WEIGHTS])["config"])), form.replace("CODE", code)
        for name in (PROGRAM, WEIGHTS):
            entries[name] = json.dumps(renamed(json.loads(entries[name]), old, new)).encode()

    return attack


def _value_name(form: str) -> Attack:
    """Attack in the place of a node's name, everywhere it is read."""

    def attack(entries: Entries, code: str) -> None:
        old, new = _nodes(json.loads(entries[PROGRAM]))[0]["name"], form.replace("CODE", code)
        entries[PROGRAM] = json.dumps(renamed(json.loads(entries[PROGRAM]), old, new)).encode()

    return attack


def _input_name(form: str) -> Attack:
    """Attack in the place of the name of an input's value."""

    def attack(entries: Entries, code: str) -> None:
        entries[PROGRAM] = json.dumps(renamed(json.loads(entries[PROGRAM]), "x", form.replace("CODE", code))).encode()

    return attack


def _spec(key: str, make: Callable[[str], Any]) -> Attack:
    def attack(entries: Entries, code: str) -> None:
        edit_json(entries, PROGRAM, lambda p: _signature(p).update({key: json.dumps([1, make(code)])}))

    return attack


_LEAF: dict[str, Any] = {"type": None, "context": None, "children_spec": []}


def _node(kind: str, context: Any, *children: Any) -> Any:
    return {"type": kind, "context": json.dumps(context), "children_spec": list(children)}


def _dict_input(code: str) -> Any:
    inner = _node("builtins.dict", [f"x'] + [{code}] #"], _LEAF)
    return _node("builtins.tuple", None, _node("builtins.tuple", None, inner), _node("builtins.dict", []))


def _keyword_input(code: str) -> Any:
    keywords = _node("builtins.dict", [f"x' if {code} else 'x"], _LEAF)
    return _node("builtins.tuple", None, _node("builtins.tuple", None), keywords)


def _enum_key(code: str) -> Any:
    return _node("builtins.dict", [{"__enum__": True, "fqn": "os:path.sep", "name": code}], _LEAF)


def _default_dict(code: str) -> Any:
    context = {"default_factory_module": "os", "default_factory_name": "getcwd", "dict_context": []}
    return {"type": "collections.defaultdict", "context": json.dumps(context), "children_spec": [_LEAF]}


def _target(target: str) -> Attack:
    def attack(entries: Entries, code: str) -> None:
        edit_json(entries, PROGRAM, lambda p: _nodes(p)[0].update(target=target.replace("CODE", code)))

    return attack


def _keyword(form: str) -> Attack:
    """Attack in the place of a keyword argument's name."""

    def attack(entries: Entries, code: str) -> None:
        def edit(program: Any) -> None:
            _nodes(program)[0]["inputs"][1].update(name=form.replace("CODE", code), kind=2)

        edit_json(entries, PROGRAM, edit)

    return attack


def _argument(arg: Any) -> Attack:
    """Attack in the place of the scale of the first node."""

    def attack(entries: Entries, code: str) -> None:
        filled = json.loads(json.dumps(arg).replace("CODE", json.dumps(code)[1:-1]))
        edit_json(entries, PROGRAM, lambda p: _nodes(p)[0]["inputs"][1].update(arg=filled))

    return attack


def _symbol(entries: Entries, code: str) -> None:
    """Attack in the place of the batch's symbol."""

    def replace(value: Any) -> None:
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            replace(inner)
        if isinstance(value, dict) and "expr_str" in value:
            value["expr_str"] = code

    edit_json(entries, PROGRAM, replace)


def _metadata(key: str, form: str) -> Attack:
    def attack(entries: Entries, code: str) -> None:
        def edit(program: Any) -> None:
            for node in _nodes(program):
                node["metadata"][key] = form.replace("CODE", code)

        edit_json(entries, PROGRAM, edit)

    return attack


def _guard(entries: Entries, code: str) -> None:
    edit_json(entries, PROGRAM, lambda p: p.update(guards_code=[code]))


def _node_names(form: str) -> Attack:
    """Attack in the place of the names of int8 nodes in the facts."""

    def attack(entries: Entries, code: str) -> None:
        edit_json(entries, FACTS, lambda f: f.update(names=[form.replace("CODE", code) + str(i) for i in range(
            len(f["names"]))]))  # fmt: skip

    return attack


def _dtype(name: str) -> Attack:
    def attack(entries: Entries, code: str) -> None:
        edit_json(entries, FACTS, lambda f: f["example_inputs"][0].update(dtype=name.replace("CODE", code)))

    return attack


def _constant(path: str) -> Attack:
    def attack(entries: Entries, code: str) -> None:
        entry = {"path_name": path, "is_param": False, "use_pickle": False, "tensor_meta": None}
        edit_json(entries, CONSTANTS, lambda config: config["config"].update({code: entry}))

    return attack


def _sub_graph(entries: Entries, code: str) -> None:
    """Attack with a graph as an argument, registered under its name."""

    def edit(program: Any) -> None:
        graph = {"name": f"g, {code}", "graph": program["graph_module"]["graph"]}
        _nodes(program)[0]["inputs"][1]["arg"] = {"as_graph": json.loads(json.dumps(graph))}

    edit_json(entries, PROGRAM, edit)


def _field_names(entries: Entries, code: str) -> None:
    def edit(program: Any) -> None:
        fields = {"collections.namedtuple": {"field_names": [code]}}
        program["graph_module"]["treespec_namedtuple_fields"] = fields
        spec = _node("collections.namedtuple", "collections.namedtuple", _LEAF)
        _signature(program)["out_spec"] = json.dumps([1, spec])

    edit_json(entries, PROGRAM, edit)


NAMES: dict[str, Attack] = {
    f"{where}: {what}": make(form)
    for where, make in {
        "argument": _argument_name,
        "another argument": _another_argument,
        "buffer": _buffer_name,
        "node": _value_name,
        "input": _input_name,
        "keyword": _keyword,
        "int8 node": _node_names,
    }.items()
    for what, form in IN_NAMES.items()
}
"""Every kind of name combined with every text to put in its place."""

OPERATORS: dict[str, Attack] = {target: _target(target) for target in OPERATOR_NAMES}

SPECS: dict[str, Attack] = {
    "a key of a dict input": _spec("in_spec", _dict_input),
    "a keyword argument": _spec("in_spec", _keyword_input),
    "an enum as key of the output": _spec("out_spec", _enum_key),
    "a default dict as output": _spec("out_spec", _default_dict),
    "a default dict as input": _spec("in_spec", _default_dict),
    "a module as type": _spec("out_spec", lambda code: _node("os.path", [], _LEAF)),
    "code as type": _spec("out_spec", lambda code: _node(code, [], _LEAF)),
    "a key with quotes": _spec("out_spec", lambda code: _node("builtins.dict", [f"x': {code}, '"], _LEAF)),
    "a key with a line break": _spec("out_spec", lambda code: _node("builtins.dict", [f"x\n{code}"], _LEAF)),
    "a context that is no JSON": _spec("out_spec", lambda code: _node("builtins.dict", [], _LEAF) | {"context": code}),
    "a spec that is no JSON": lambda e, code: edit_json(e, PROGRAM, lambda p: _signature(p).update(out_spec=code)),
    "deep nesting": _spec("out_spec", lambda code: json.loads(_deep_spec(200))),
    "very deep nesting": lambda e, code: edit_json(
        e, PROGRAM, lambda p: _signature(p).update(out_spec=f"[1, {_deep_spec(50_000)}]")
    ),
    "named tuple fields": _field_names,
}


def _deep_spec(levels: int) -> str:
    start = '{"type": "builtins.list", "context": "null", "children_spec": ['
    return start * levels + json.dumps(_LEAF) + "]}" * levels


ARGUMENTS: dict[str, Attack] = {
    "a string": _argument({"as_string": "CODE"}),
    "strings": _argument({"as_strings": ["CODE"]}),
    "an operator": _argument({"as_operator": "torch.os.system"}),
    "a custom object": _argument({"as_custom_obj": {"name": "CODE", "class_fqn": "CODE"}}),
    "a dict of arguments": _argument({"as_string_to_argument": {"CODE": {"as_int": 1}}}),
    "a device": _argument({"as_device": {"type": "CODE", "index": None}}),
    "a device that is not here": _argument({"as_device": {"type": "cuda", "index": 0}}),
    "a symbol": _argument({"as_sym_float": {"as_name": "CODE"}}),
    "a text for a number": _argument({"as_float": "CODE"}),
    "a list for a number": _argument({"as_float": ["CODE"]}),
    "a huge integer": _argument({"as_int": 10**400}),
    "a huge float": _argument({"as_float": 10**400}),
    "a truth for a number": _argument({"as_int": True}),
    "an unknown kind": _argument({"CODE": 1}),
    "two kinds": _argument({"as_int": 1, "as_string": "CODE"}),
    "an unknown dtype": _argument({"as_scalar_type": 10**9}),
    "a complex number": _argument({"as_complex": {"real": 1.0, "imag": "CODE"}}),
    "a graph": _sub_graph,
    "a tensor nobody made": _argument({"as_tensor": {"name": "CODE"}}),
}

ELSEWHERE: dict[str, Attack] = {
    "a symbol's expression": _symbol,
    "a guard": _guard,
    "where a node came from": _metadata("from_node", "CODE"),
    "a node's functions": _metadata("source_fn_stack", "x,torch.os.system"),
    "a node's module": _metadata("nn_module_stack", "k,x' + CODE + ',torch.nn.Module"),
    "a node's trace": _metadata("stack_trace", 'File "x", line 1, in y\n"""\nCODE\n"""\n'),
    "a dtype of the example": _dtype("CODE"),
    "an attribute as dtype": _dtype("os"),
    "a constant's name": _constant("tensor_0"),
    "a custom object among constants": _constant("custom_obj_0"),
    "a path among constants": _constant("../../../etc/passwd"),
}

ATTACKS: dict[str, Attack] = {**NAMES, **OPERATORS, **SPECS, **ARGUMENTS, **ELSEWHERE}
