"""Find the user's source line for a node or an exception, and the first line of an exception's text."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import torch

from .callers_code import said_by, text_of

_TORCH = str(Path(torch.__file__).parent) + os.sep  # the separator excludes torchvision
_PACKAGE = str(Path(__file__).parent) + os.sep
_MODELS = _PACKAGE + "models" + os.sep


_MACHINERY = tuple(f"{_TORCH}{name}" for name in ("fx/", "nn/modules/module.py", "overrides.py", "_"))
"""Files of torch that tracebacks leave out. Other torch files (nn containers) appear only without a user frame."""


def _is_ours(file: str) -> bool:
    """Whether a file belongs to the toolkit; its own models count as user code."""
    return file.startswith(_PACKAGE) and not file.startswith(_MODELS)


def calling_lines() -> str:
    """The lines inside the model that led to this call, outermost first, in the format of a traceback.

    torch.fx can record them, too, but then imports the whole compiler, which takes seconds in each process.
    """
    users, torchs = list[str](), list[str]()
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "_trace_once":
        file = frame.f_code.co_filename
        if not (_is_ours(file) or file.startswith((*_MACHINERY, "<"))):
            line = f'  File "{file}", line {frame.f_lineno}, in {frame.f_code.co_name}\n'
            (torchs if file.startswith(_TORCH) else users).append(line)
        frame = frame.f_back
    return "".join(reversed(users or torchs))


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type if the text is empty."""
    if isinstance(error, SystemExit):
        return said_by(error)
    lines = [line.strip() for line in text_of(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    said = type(error).__name__ if type(error).__module__ == "builtins" else ""
    return f"{said}: {lines[0]}" if said and said not in lines[0] else lines[0]


def users_frame(error: BaseException) -> str | None:
    """The innermost line of the traceback outside of torch and the toolkit."""
    found, frame = None, error.__traceback__
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        if not (_is_ours(file) or file.startswith((_TORCH, "<"))):
            found = f'File "{file}", line {frame.tb_lineno}, in {frame.tb_frame.f_code.co_name}'
        frame = frame.tb_next
    return found
