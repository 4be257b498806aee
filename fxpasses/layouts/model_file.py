"""The ONNX file of a model, copied into a layout: unchanged, or with other names for inputs and outputs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, MutableSequence
from pathlib import Path
from typing import TYPE_CHECKING

from fxpasses.errors import InputError
from fxpasses.export.external_weights import files_beside
from fxpasses.export.onnx_reader import read_onnx

if TYPE_CHECKING:
    import onnx


def copy_model(source: Path, target: Path) -> None:
    """Copy a file, and the files in its folder that hold its weights, if there are any.

    Raises:
        InputError: the file cannot be read, or its weights lie elsewhere.
    """
    beside = files_beside(read_onnx(source, weights=False))
    shutil.copyfile(source, target)
    for name in beside:
        (target.parent / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.parent / name, target.parent / name)


def copy_renamed(source: Path, target: Path, names: Mapping[str, str]) -> None:
    """Copy a file and give its inputs and outputs other names; its results stay the same.

    Raises:
        InputError: it cannot be read, or holds a name already that another one is to get.
    """
    import onnx

    model = read_onnx(source)
    known = _names_in(model.graph)
    for name in names.values():
        if name in known and name not in names:
            raise InputError(
                f"{source}: a tensor is to be called {name!r}",
                why="another one in the file has that name",
                fix="name the model's nodes differently, or use a layout that leaves names alone",
            )
    for node in model.graph.node:
        _rename(node.input, names)
        _rename(node.output, names)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.name = names.get(value.name, value.name)
    onnx.save_model(model, target)


def _names_in(graph: onnx.GraphProto) -> set[str]:
    found = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        found |= {*node.input, *node.output}
    return found


def _rename(held: MutableSequence[str], names: Mapping[str, str]) -> None:
    for index, name in enumerate(held):
        held[index] = names.get(name, name)
