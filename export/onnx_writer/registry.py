"""Keep torch's table of ONNX translations, which is then made once per process instead of once per file.

``torch.onnx.export`` builds a table of some 550 translations at every call and reads the source of each for it. For a
small net this takes four fifths of the time of an export. The files are the same with a kept table.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import threading
from collections.abc import Hashable, Iterator
from typing import Any

_TORCHVISION = "torchvision"
"""A package with operators of its own, for which torch's table has translations once it is imported."""
_tables: dict[Hashable, Any] = {}
_lock = threading.RLock()


@contextlib.contextmanager
def kept_registry() -> Iterator[None]:
    """Let exports inside the block share one table per opset; each gets a copy, to which it may add translations.

    Versions of torch that build the table in another way are not changed.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        original = vars(ONNXRegistry)["from_torchlib"]
    except (ImportError, KeyError):
        yield
        return

    def from_torchlib(cls: type[ONNXRegistry], /, *args: Hashable, **kwargs: Hashable) -> Any:
        key = (args, tuple(sorted(kwargs.items())), _TORCHVISION in sys.modules)
        if key not in _tables:
            _tables[key] = original.__get__(None, cls)(*args, **kwargs)
        table = copy.copy(_tables[key])
        table.functions = {target: list(translations) for target, translations in table.functions.items()}
        return table

    with _lock:
        ONNXRegistry.from_torchlib = classmethod(from_torchlib)  # type: ignore[method-assign,assignment]  # for the block
        try:
            yield
        finally:
            ONNXRegistry.from_torchlib = original  # type: ignore[method-assign]  # as it was
