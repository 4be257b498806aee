"""What to tell of an exception that came out of somebody else's code."""

from __future__ import annotations

from pathlib import Path

import torch

_TORCH = str(Path(torch.__file__).parent)
_OURS = tuple(
    str(Path(__file__).parent / name)
    for name in ("symbolic_trace.py", "exporting.py", "tracing.py", "capture_checks.py", "inplace.py")
)


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    said = type(error).__name__ if type(error).__module__ == "builtins" else ""
    return f"{said}: {lines[0]}" if said and said not in lines[0] else lines[0]


def users_frame(error: BaseException) -> str | None:
    """The innermost line of the traceback that is neither torch's nor ours."""
    found, frame = None, error.__traceback__
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        if not file.startswith((_TORCH, "<", *_OURS)):
            found = f'File "{file}", line {frame.tb_lineno}, in {frame.tb_frame.f_code.co_name}'
        frame = frame.tb_next
    return found
