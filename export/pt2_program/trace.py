"""Origin of a program's nodes in the user's code, for messages; only text in the usual form is kept."""

from __future__ import annotations

import re
from typing import Any

from ..pt2_records.names import is_attribute_path

_FRAME = re.compile(r'(?m)^ {0,4}File "([^"\n]{1,1000})", line (\d{1,9}), in ([^\n]{1,200})$')
_STACK = re.compile(r"([\w@$.-]{1,500}),([\w.-]{0,500}),([\w.<>]{1,500})")
_MOST_FRAMES = 64


def read_origin(metadata: Any) -> dict[str, Any]:
    """``stack_trace`` and ``nn_module_stack`` in the form that torch.export puts on nodes."""
    if not isinstance(metadata, dict):
        return {}
    origin: dict[str, Any] = {}
    if frames := _frames(metadata.get("stack_trace")):
        origin["stack_trace"] = frames
    if stack := _modules(metadata.get("nn_module_stack")):
        origin["nn_module_stack"] = stack
    return origin


def _frames(trace: object) -> str:
    """The lines of a traceback in Python's format; other lines are left out."""
    found = _FRAME.findall(trace) if isinstance(trace, str) else []
    lines = [f'  File "{file}", line {line}, in {function}\n' for file, line, function in found[:_MOST_FRAMES]]
    return "".join(line for line in lines if line[:-1].isprintable())


def _modules(stack: object) -> dict[str, tuple[str, str]]:
    """Modules around a call, from the outside in: key -> (path, class); empty if one of them has another form."""
    made: dict[str, tuple[str, str]] = {}
    for item in stack.split(";")[:_MOST_FRAMES] if isinstance(stack, str) and stack else ():
        match = _STACK.fullmatch(item)
        if match is None or not (match[2] == "" or is_attribute_path(match[2])):
            return {}
        made[match[1]] = (match[2], match[3])
    return made
