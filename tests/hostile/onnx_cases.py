"""ONNX files with false content: data elsewhere, incomplete operators, names that are not UTF-8, and noise."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import onnx
from mutations import damaged
from onnx import TensorProto

Change = Callable[[onnx.ModelProto], None]


def _external(**entries: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return change


def _first_node(field: str, *values: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            getattr(node, field)[:] = values

    return change


def _last_node(field: str, *values: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        getattr(model.graph.node[-1], field)[:] = values

    return change


def _set(path: str, value: object) -> Change:
    def change(model: onnx.ModelProto) -> None:
        *parents, last = path.split(".")
        found: object = model
        for parent in parents:
            found = getattr(found, parent)
        setattr(found, last, value)

    return change


def _cleared(field: str) -> Change:
    return lambda model: model.graph.ClearField(field)


WEIGHTS = "weights.bin"
"""Name of a file of 64 bytes, beside the model."""

CASES: dict[str, Change] = {
    "external data without a location": _external(offset="0"),
    "external data that is not there": _external(location="nothing.bin"),
    "external data of a folder above": _external(location="../weights.bin"),
    "external data of an absolute path": _external(location="/etc/hostname"),
    "external data of a device": _external(location="/dev/zero", length="64"),
    "external data of a pipe": _external(location="pipe"),
    "external data that is a folder": _external(location="."),
    "an offset below zero": _external(location=WEIGHTS, offset="-1"),
    "an offset behind the end": _external(location=WEIGHTS, offset="4096"),
    "an offset beyond 64 bits": _external(location=WEIGHTS, offset=str(2**70)),
    "an offset that is no number": _external(location=WEIGHTS, offset="ten"),
    "an offset of other digits": _external(location=WEIGHTS, offset="\u0663"),
    "a length below zero": _external(location=WEIGHTS, length="-5"),
    "a length beyond the end": _external(location=WEIGHTS, length=str(2**40)),
    "a length too short": _external(location=WEIGHTS, length="3"),
    "a length that is no number": _external(location=WEIGHTS, length="1e3"),
    "no inputs": _first_node("input"),
    "no outputs": _first_node("output"),
    "empty names of inputs": _first_node("input", "", "", ""),
    "empty names of outputs": _first_node("output", ""),
    "the last one without inputs": _last_node("input"),
    "the last one without outputs": _last_node("output"),
    "one input for all": _first_node("input", "x"),
    "the last one reads what there is not": _last_node("input", "y", "y", "y"),
    "no graph": lambda model: model.ClearField("graph"),
    "no nodes": _cleared("node"),
    "no graph inputs": _cleared("input"),
    "no graph outputs": _cleared("output"),
    "no weights": _cleared("initializer"),
    "no opset": lambda model: model.ClearField("opset_import"),
    "a high ir version": _set("ir_version", 2**31),
    "an ir version below zero": _set("ir_version", -1),
    "a high opset": lambda model: setattr(model.opset_import[0], "version", 2**40),
    "an unknown operator": lambda model: setattr(model.graph.node[0], "op_type", "Nonsense"),
    "an unknown domain": lambda model: setattr(model.graph.node[0], "domain", "nowhere"),
    "an unknown type": lambda model: setattr(model.graph.initializer[0], "data_type", 999),
    "dimensions below zero": lambda model: model.graph.initializer[0].dims.__setitem__(0, -3),
    "dimensions too large": lambda model: model.graph.initializer[0].dims.__setitem__(0, 2**40),
    "weights cut short": lambda model: setattr(model.graph.initializer[0], "raw_data", b"abc"),
    "two weights of one name": lambda model: model.graph.initializer.append(model.graph.initializer[0]),
    "another target": lambda model: model.metadata_props.add(key="fxpasses.target", value="toaster"),
    "an empty target": lambda model: model.metadata_props.add(key="fxpasses.target", value=""),
    "a recipe of nonsense": lambda model: model.metadata_props.add(key="fxpasses.recipe", value="{"),
}
"""Changes of a good model. onnxruntime accepts some of them, and then the audit must give an answer."""


def altered_files(content: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``count`` files, each with its name: the cases above, names that are no UTF-8, then damaged bytes."""
    made = 0
    for name, change in CASES.items():
        model = onnx.ModelProto()
        model.ParseFromString(content)
        change(model)
        yield name, model.SerializeToString()
        made += 1
    for index, name in enumerate(sorted(_names(content))):
        if made >= count or index >= 40:
            break
        yield f"{name} is no UTF-8", content.replace(name.encode(), b"\xff\xfe" + b"\x80" * (len(name) - 2))
        made += 1
    for index in range(count - made):
        yield f"damage {index}", damaged(content, random.Random(seed + index))


def _names(content: bytes) -> set[str]:
    model = onnx.ModelProto()
    model.ParseFromString(content)
    names = {name for node in model.graph.node for name in (node.name, node.op_type, *node.input, *node.output)}
    return {name for name in names if len(name) > 3}
