"""Checks of ONNX weights in another file: it must lie beside the model and contain all of their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fxpasses.formats.regular_files import why_not_regular

if TYPE_CHECKING:
    import onnx


def why_not_readable(model: onnx.ModelProto, folder: Path) -> str | None:
    """Problem with the first external data that cannot be read; None without problems."""
    import onnx

    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            problem = _problem(entries, folder)
            if problem:
                return f"its weights lie in another file; of {tensor.name!r} {problem}"
    return None


def files_beside(model: onnx.ModelProto) -> tuple[str, ...]:
    """The files, relative to the model's folder, that hold weights of a model read without them."""
    import onnx

    entries = (e for t in _tensors(model) if t.data_location == onnx.TensorProto.EXTERNAL for e in t.external_data)
    return tuple(sorted({entry.value for entry in entries if entry.key == "location"}))


def _problem(entries: dict[str, str], folder: Path) -> str | None:
    location = entries.get("location", "")
    if not location:
        return "its location is not given"
    place = (folder / location).resolve()
    if not place.is_relative_to(folder.resolve()):
        return f"{location!r} is outside the folder of the model"
    why = why_not_regular(place)
    if why:
        return f"it is {location!r}: {why}"
    offset, length = _number(entries.get("offset", "0")), _number(entries.get("length", "0"))
    if offset is None or length is None:
        return f"its offset {entries.get('offset')!r} or length {entries.get('length')!r} is no number of bytes"
    size = place.stat().st_size
    if offset + length > size:
        return f"bytes {offset} to {offset + length} are said to be its own, where {location!r} has {size}"
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
