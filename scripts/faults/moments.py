"""Moments in a child: its operations on files, counted, and the writing of the optimised file by onnxruntime.

Python's audit events report an operation just before it is done. The fault comes at the chosen one, so that short steps
between long ones are hit as often as these; at random times they almost never would be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "shutil.rmtree")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Counts:
    """Number of moments in one run."""

    operations: int = 0
    optimised_files: int = 0


def watch(root: Path, at_operation: Callable[[int], None], at_optimised_file: Callable[[int], None]) -> Counts:
    """Call back at each moment below ``root`` of this process, with its number; to be called in a child."""
    counts = Counts()
    _watch_operations(str(root) + os.sep, counts, at_operation)
    _watch_onnxruntime(counts, at_optimised_file)
    return counts


def _watch_operations(prefix: str, counts: Counts, strike: Callable[[int], None]) -> None:
    is_inside = [False]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS or is_inside[0] or not _is_about(prefix, arguments[0]):
            return
        if event == "open" and not _is_for_writing(*arguments[1:3]):
            return
        is_inside[0] = True
        try:
            counts.operations += 1
            strike(counts.operations)
        finally:
            is_inside[0] = False

    sys.addaudithook(hook)


def _is_about(prefix: str, path: object) -> bool:
    return isinstance(path, str | os.PathLike) and str(os.fspath(path)).startswith(prefix)


def _is_for_writing(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITES)


def _watch_onnxruntime(counts: Counts, strike: Callable[[int], None]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession

    class Watched(session):  # type: ignore[misc, valid-type]  # onnxruntime has no annotations
        """Session that calls back before it writes a file."""

        def __init__(self, given: object, sess_options: Any = None, **more: object) -> None:
            if sess_options is not None and sess_options.optimized_model_filepath:
                counts.optimised_files += 1
                strike(counts.optimised_files)
            super().__init__(given, sess_options, **more)

    onnxruntime.InferenceSession = Watched
