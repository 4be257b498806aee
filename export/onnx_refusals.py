"""Turn exceptions of onnxruntime into input errors: it has fifteen exception classes of its own, and C++ has more."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fxpasses.errors import InputError

SILENT = 4
"""Log level at which onnxruntime is silent: its exceptions contain the same text."""
_WRITING_FAILED = ("serialization failed", "No space left", "write failed")
_ALMOST_NOTHING = 1 << 20
"""Free bytes below which a disk was too small for a model."""


@contextmanager
def refusals_told(what: str, fix: str, written: Path | None = None) -> Iterator[None]:
    """Turn exceptions of onnxruntime in the block into an InputError.

    Args:
        what: description of the refused object, for the message.
        fix: the remedy.
        written: the file that onnxruntime writes, if it does.

    Raises:
        InputError: onnxruntime refuses; its message is the reason.
        OSError: it could not write the file: the disk is full, or the size of files is limited.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as binding

    kinds: list[type[Exception]] = [RuntimeError, ValueError, TypeError]  # ValueError: names that are no UTF-8
    kinds += [kind for kind in vars(binding).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    try:
        yield
    except tuple(kinds) as error:
        said = " ".join(str(error).split())
        if written is not None and any(sign in said for sign in _WRITING_FAILED):
            code = errno.ENOSPC if shutil.disk_usage(written.parent).free < _ALMOST_NOTHING else errno.EFBIG
            raise OSError(code, os.strerror(code), str(written)) from error
        raise InputError(what, why=said, fix=fix) from error
