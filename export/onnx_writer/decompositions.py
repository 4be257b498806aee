"""Keep torch's table of decompositions, which is then made once per process instead of once per file.

``torch.onnx.export`` asks ``torch.export.default_decompositions`` for the table at every call. Making it asks the
dispatcher for all composite operators, once for every library of operators: a tenth of a second, a fifth of the time
of exporting a small net. The table changes only when operators are added, and then it is made again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

_tables: dict[tuple[tuple[str, int], ...], dict[Any, Callable[..., Any]]] = {}
_lock = threading.RLock()


@contextlib.contextmanager
def kept_decompositions() -> Iterator[None]:
    """Let exports inside the block share one table; each gets a copy.

    Versions of torch that make the table in another way are not changed.
    """
    original = getattr(torch.export, "default_decompositions", None)
    if original is None:
        yield
        return

    def default_decompositions() -> dict[Any, Callable[..., Any]]:
        if _operators() not in _tables:
            made = dict(original().items())
            _tables.clear()
            _tables[_operators()] = made  # making it looks operators up that nobody has used before
        return dict(_tables[_operators()])

    with _lock:
        torch.export.default_decompositions = default_decompositions  # type: ignore[assignment]  # for the block
        try:
            yield
        finally:
            torch.export.default_decompositions = original


def _operators() -> tuple[tuple[str, int], ...]:
    """Libraries of operators and the number of operators of each that were used: a program has no others."""
    libraries = ((name, getattr(torch.ops, name)) for name in torch.ops)
    return tuple((name, sum(1 for _ in library)) for name, library in libraries if hasattr(type(library), "__iter__"))
