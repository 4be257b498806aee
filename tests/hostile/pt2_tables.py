"""Invalid numbers: sizes, strides, dtypes and settings of tensors and calls, one changed at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pt2_seeds import FACTS, PROGRAM, WEIGHTS, Entries, edit_json

Change = Callable[[Entries], None]


def _weight(**meta: Any) -> Change:
    def change(entries: Entries) -> None:
        def edit(config: Any) -> None:
            next(iter(config["config"].values()))["tensor_meta"].update(meta)

        edit_json(entries, WEIGHTS, edit)

    return change


def _payload(**payload: Any) -> Change:
    def change(entries: Entries) -> None:
        edit_json(entries, WEIGHTS, lambda config: next(iter(config["config"].values())).update(payload))

    return change


def _sizes(*sizes: Any) -> list[dict[str, Any]]:
    return [{"as_int": size} for size in sizes]


def _facts(**facts: Any) -> Change:
    return lambda entries: edit_json(entries, FACTS, lambda document: document.update(facts))


def _program(**program: Any) -> Change:
    return lambda entries: edit_json(entries, PROGRAM, lambda document: document.update(program))


def _graph(edit: Callable[[Any], None]) -> Change:
    return lambda entries: edit_json(entries, PROGRAM, lambda p: edit(p["graph_module"]["graph"]))


def _call(target: str, *arguments: tuple[str, Any]) -> Change:
    """Add a call at the start, read only by the checks of sizes, although the output of the net depends on it."""

    def edit(graph: Any) -> None:
        inputs = [{"name": name, "arg": arg, "kind": 1} for name, arg in arguments]
        node = {"target": target, "inputs": inputs, "outputs": [{"as_tensor": {"name": "added"}}], "name": "added"}
        graph["nodes"].insert(0, node | {"metadata": dict[str, str]()})
        graph["outputs"][0] = {"as_tensor": {"name": "added"}}

    return _graph(edit)


def _squares(graph: Any) -> None:
    """A size squared sixty times."""
    made = {"target": "torch.ops.aten.sym_size.int", "inputs": [
        {"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1},
        {"name": "dim", "arg": {"as_int": 0}, "kind": 1}]}  # fmt: skip
    nodes = []
    for number in range(60):
        name = f"square_{number}"
        nodes.append(made | {"outputs": [{"as_sym_int": {"as_name": name}}], "metadata": {}, "name": name})
        argument = {"arg": {"as_sym_int": {"as_name": name}}, "kind": 1}
        made = {"target": "_operator.mul", "inputs": [argument | {"name": "a"}, argument | {"name": "b"}]}
    graph["nodes"][:0] = nodes
    graph["outputs"][0] = {"as_sym_int": {"as_name": "square_59"}}


_X = ("self", {"as_tensor": {"name": "x"}})

TABLES: dict[str, Change] = {
    "a negative size": _weight(sizes=_sizes(-1, 5, 3, 3)),
    "a size of 2**40": _weight(sizes=_sizes(2**40, 5, 3, 3)),
    "a size of 2**80": _weight(sizes=_sizes(2**80, 5, 3, 3)),
    "a size that is a word": _weight(sizes=_sizes("8", 5, 3, 3)),
    "a size that is true": _weight(sizes=_sizes(True, 5, 3, 3)),
    "a size that is a fraction": _weight(sizes=_sizes(8.0, 5, 3, 3)),
    "a size that is a symbol": _weight(sizes=[{"as_expr": {"expr_str": "s0", "hint": None}}]),
    "sizes without strides": _weight(strides=[]),
    "a hundred dimensions": _weight(sizes=_sizes(*[1] * 100), strides=_sizes(*[1] * 100)),
    "a stride beyond the end": _weight(strides=_sizes(10**6, 9, 3, 1)),
    "a negative stride": _weight(strides=_sizes(-45, 9, 3, 1)),
    "strides of 0 and sizes of 2**30": _weight(sizes=_sizes(2**30, 5, 3, 3), strides=_sizes(0, 0, 0, 0)),
    "an offset beyond the end": _weight(storage_offset={"as_int": 10**6}),
    "a negative offset": _weight(storage_offset={"as_int": -1}),
    "a dtype of more bytes": _weight(dtype=8),
    "a dtype nobody knows": _weight(dtype=99),
    "a complex dtype of halves": _weight(dtype=9),
    "a sparse layout": _weight(layout=1),
    "another device": _weight(device={"type": "cuda", "index": 0}),
    "a device of the caller's": _weight(device={"type": "meta", "index": None}),
    "a pickled weight": _payload(use_pickle=True),
    "a weight without bytes": _payload(path_name="weight_77"),
    "a weight from outside": _payload(path_name="../../weight_0"),
    "a weight that is a constant": _payload(path_name="tensor_0"),
    "a weight that is the program": _payload(path_name="../../models/model.json"),
    "a weight without a description": _payload(tensor_meta=None),
    "an example of 2**60 elements": _facts(example_inputs=[{"shape": [2**30, 2**30], "dtype": "float32"}]),
    "an example of negative size": _facts(example_inputs=[{"shape": [-2, 5, 9, 7], "dtype": "float32"}]),
    "an example of another rank": _facts(example_inputs=[{"shape": [2, 5], "dtype": "float32"}]),
    "no example": _facts(example_inputs=[]),
    "one example too many": _facts(example_inputs=[{"shape": [2, 5, 9, 7], "dtype": "float32"}] * 2),
    "an example that is a table": _facts(example_inputs={"shape": [2]}),
    "names of fewer": _facts(names=["x_int8"]),
    "a name twice": _facts(names=["x_int8", "x_int8"]),
    "names that are numbers": _facts(names=[1, 2]),
    "a log that is a word": _facts(log="fuse"),
    "a log of numbers": _facts(log=[{"name": 1, "changed": [], "skipped": []}]),
    "a log with an escape sequence": _facts(log=[{"name": "\x1b[2J", "changed": [], "skipped": []}]),
    "a log with a lone surrogate": _facts(log=[{"name": "\ud800", "changed": [], "skipped": []}]),
    "a log of triples": _facts(log=[{"name": "x", "changed": [["a", "b", "c"]], "skipped": []}]),
    "a recipe that is a table": _facts(recipe={}),
    "a recipe of nothing": _facts(recipe=""),
    "a recipe with a setting nobody knows": _facts(recipe='{"__class__": 1}'),
    "a recipe with a truth for a number": _facts(recipe='{"weight_bits": true}'),
    "a recipe with a word for a truth": _facts(recipe='{"exact": "no"}'),
    "a recipe with a target nobody knows": _facts(recipe='{"target": "abacus"}'),
    "a recipe with overrides of words": _facts(recipe='{"overrides": ["x"]}'),
    "a recipe with an override of nothing": _facts(recipe='{"overrides": [{}]}'),
    "a schema of the future": _program(schema_version={"major": 9, "minor": 0}),
    "a schema of words": _program(schema_version="8"),
    "no graph": _program(graph_module=None),
    "a graph that is a list": _program(graph_module=[]),
    "no inputs": _graph(lambda graph: graph.update(inputs=[])),
    "no outputs": _graph(lambda graph: graph.update(outputs=[])),
    "nodes in a table": _graph(lambda graph: graph.update(nodes={})),
    "nodes turned around": _graph(lambda graph: graph["nodes"].reverse()),
    "a node twice": _graph(lambda graph: graph["nodes"].append(graph["nodes"][0])),
    "a node less": _graph(lambda graph: graph["nodes"].pop(0)),
    "a node that is a number": _graph(lambda graph: graph["nodes"].insert(0, 7)),
    "a size squared sixty times": _graph(_squares),
    "a tensor of 2**60 bytes": _call(
        "torch.ops.aten.expand.default", _X, ("size", {"as_ints": [2**30, 2**28, 5, 9, 7]})),
    "a full of 2**40": _call(
        "torch.ops.aten.full.default", ("size", {"as_ints": [2**40]}), ("fill_value", {"as_int": 0})),
    "a range of 2**50": _call("torch.ops.aten.arange.default", ("end", {"as_int": 2**50})),
    "an argument of another type": _call("torch.ops.aten.relu.default", ("self", {"as_int": 1})),
    "an argument too few": _call("torch.ops.aten.add.Tensor", _X),
    "an argument nobody takes": _call("torch.ops.aten.relu.default", _X, ("inplace", {"as_bool": True})),
    "an argument twice": _call("torch.ops.aten.relu.default", _X, _X),
    "a dimension that is none": _call("torch.ops.aten.softmax.int", _X, ("dim", {"as_int": 77})),
    "a pool without size": _call("torch.ops.aten.avg_pool2d.default", _X, ("kernel_size", {"as_ints": [0, 0]})),
    "a pool of 2**62": _call("torch.ops.aten.max_pool2d.default", _X, ("kernel_size", {"as_ints": [2**62, 2**62]})),
    "a padding of 2**62": _call("torch.ops.aten.pad.default", _X, ("pad", {"as_ints": [2**62, 2**62]})),
    "a view of other size": _call("torch.ops.aten.view.default", _X, ("size", {"as_ints": [3, 1]})),
    "an index far outside": _call(
        "torch.ops.aten.select.int", _X, ("dim", {"as_int": 0}), ("index", {"as_int": 10**9})),
    "a repetition of 2**40": _call("torch.ops.aten.repeat.default", _X, ("repeats", {"as_ints": [2**40, 1, 1, 1]})),
}  # fmt: skip
"""Changes that make a number invalid, by description."""
