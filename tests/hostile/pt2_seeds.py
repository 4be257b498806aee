"""Contents of archives written by ``save``, from which hostile ones are made."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lowered_nets import mixed
from tiny_graphs import quantized

from fxpasses.export import save
from fxpasses.precision.dynamic import to_dynamic

PROGRAM = "models/model.json"
FACTS = "extra/fxpasses.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"

Entries = dict[str, bytes]


@cache
def saved(net: str = "conv_bn_relu") -> bytes:
    """The file of a tiny net."""
    with tempfile.TemporaryDirectory() as folder:
        return save(quantized(net), Path(folder) / "model.pt2").read_bytes()


@cache
def saved_lowered() -> bytes:
    """The file of a LOWERED graph."""
    with tempfile.TemporaryDirectory() as folder:
        return save(to_dynamic(mixed()), Path(folder) / "model.pt2").read_bytes()


def entries_of(net: str = "conv_bn_relu") -> Entries:
    """Contents by name, without the archive's own folder."""
    return entries_from(saved(net))


def entries_from(content: bytes) -> Entries:
    """Contents of any archive by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def packed(entries: Entries) -> bytes:
    """Pack entries into an archive again."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()


def edit_json(entries: Entries, name: str, edit: Callable[[Any], None]) -> None:
    """Change one JSON entry in place."""
    document = json.loads(entries[name])
    edit(document)
    entries[name] = json.dumps(document).encode()


def renamed(value: Any, old: str, new: str) -> Any:
    """A JSON document with one string replaced wherever it stands, as a key, too."""
    if isinstance(value, dict):
        return {renamed(k, old, new): renamed(v, old, new) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(v, old, new) for v in value]
    return new if value == old else value
