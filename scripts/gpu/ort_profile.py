"""Read onnxruntime's own profile: which operators were computed in int8, and which in float between conversions.

A file with Q/DQ pairs may run in float nevertheless: a provider without an integer kernel converts before and after
each operator. Only the profile of a run tells.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "Cast", "MemcpyFromHost", "MemcpyToHost")
MOVES = (
    *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Concat", "Slice"),
    *("Split", "Identity", "Pad", "Shape", "Gather", "Expand"),
)
"""Operators that only move values; bytes that they move are no int8 arithmetic."""
BYTES = ("int8", "uint8")
_COMPILED = ("TRTKernel", "TensorRT")
"""Beginnings of the names of nodes that hold a whole graph, about whose inside the profile says nothing."""


def kernels_of(events: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    """The operators of one profile by how they were computed.

    Returns:
        ``int8``, ``float``, ``conversions`` and ``opaque``: number of nodes by operator; ``providers``: nodes by
        provider; ``said``: a sentence.
    """
    nodes = {
        (event["name"], event["args"]["provider"]): event["args"]
        for event in events
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith("_kernel_time")
    }
    found: dict[str, Counter[str]] = {kind: Counter() for kind in ("int8", "float", "conversions", "opaque")}
    for node in nodes.values():
        kind = _kind(node)
        if kind is not None:
            found[kind][str(node["op_name"])] += 1
    providers = Counter(str(node["provider"]) for node in nodes.values())
    return {**{kind: dict(sorted(count.items())) for kind, count in found.items()}, "providers": dict(providers)} | {
        "said": _sentence(found)
    }


def _kind(node: Mapping[str, Any]) -> str | None:
    name = str(node["op_name"])
    if name.startswith(_COMPILED):
        return "opaque"
    if name in CONVERSIONS:
        return "conversions"
    if name in MOVES:
        return None
    types = {kind for argument in node.get("input_type_shape", []) for kind in argument}
    return "int8" if types & {*BYTES} else "float"


def _sentence(found: Mapping[str, Counter[str]]) -> str:
    whole, opaque = sum(found["int8"].values()), sum(found["opaque"].values())
    rest, conversions = sum(found["float"].values()), sum(found["conversions"].values())
    if opaque:
        return f"{opaque} compiled parts, about whose inside the profile says nothing; {whole} other nodes in int8"
    if not whole:
        return f"nothing ran in int8: {rest} nodes in float, {conversions} conversions"
    return f"{whole} nodes ran in int8, {rest} in float, with {conversions} conversions"


def profiled(session: Any, call: Callable[[], object]) -> dict[str, object]:
    """Call a session that was made with ``enable_profiling`` once, and end its profile, which is removed.

    Profiling is off afterwards, so that later calls can be timed.
    """
    call()
    path = Path(session.end_profiling())
    try:
        return kernels_of(json.loads(path.read_text(encoding="utf-8")))
    finally:
        path.unlink()
