"""Names in a QUANTIZED graph: of a tensor's integers, of the floats read back from them, and of a layer's buffers."""

from __future__ import annotations

import re

_INTEGERS, _FLOATS, _CALL = "_int8", "_float", "_call"


def int8_name(tensor: str) -> str:
    """The ``quantize`` node that gives a tensor's integers."""
    return tensor + _INTEGERS


def float_name(tensor: str) -> str:
    """The ``dequantize`` node behind it."""
    return tensor + _FLOATS


def tensor_of(int8: str) -> str:
    """The tensor whose integers a ``quantize`` node gives; a name of another form is a tensor's own."""
    return int8.removesuffix(_INTEGERS)


def is_int8_name(name: str) -> bool:
    """Whether a name is that of a tensor's integers."""
    return name.endswith(_INTEGERS)


def holder_path(path: str, call: int = 1) -> str:
    """The submodule that holds the integers of a layer, or of a constant: at its ``call``-th call."""
    return f"{path}{_INTEGERS}" + (f"{_CALL}{call}" if call > 1 else "")


def layer_path(holder: str) -> str:
    """The layer, or constant, whose integers a submodule holds."""
    return holder.rpartition(_INTEGERS)[0] or holder


def node_of_layer(path: str) -> str:
    """The node of a FLOAT graph that calls a layer first: its path, as fx makes a name of it."""
    name = re.sub(r"\W", "_", path)
    return f"_{name}" if name[:1].isdigit() else name
