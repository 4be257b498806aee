"""Names in a QUANTIZED graph: for a tensor's integers, for the floats read back from them, for a layer's buffers."""

from __future__ import annotations

import re

_INTEGERS, _FLOATS, _CALL = "_int8", "_float", "_call"


def int8_name(tensor: str) -> str:
    """Name of the ``quantize`` node that computes a tensor's integers."""
    return tensor + _INTEGERS


def float_name(tensor: str) -> str:
    """Name of the ``dequantize`` node that reads a tensor's integers back as floats."""
    return tensor + _FLOATS


def tensor_of(int8: str) -> str:
    """Name of the tensor whose integers a ``quantize`` node computes; other names are returned unchanged."""
    return int8.removesuffix(_INTEGERS)


def is_int8_name(name: str) -> bool:
    """Whether a name is that of a tensor's integers."""
    return name.endswith(_INTEGERS)


def holder_path(path: str, call: int = 1) -> str:
    """Path of the submodule that holds the integers of a layer at its ``call``-th call, or of a constant."""
    return f"{path}{_INTEGERS}" + (f"{_CALL}{call}" if call > 1 else "")


def layer_path(holder: str) -> str:
    """Path of the layer, or constant, whose integers a submodule holds."""
    return holder.rpartition(_INTEGERS)[0] or holder


def node_of_layer(path: str) -> str:
    """The node of a FLOAT graph that calls a layer first: its path, as fx makes a name of it."""
    name = re.sub(r"\W", "_", path)
    return f"_{name}" if name[:1].isdigit() else name
