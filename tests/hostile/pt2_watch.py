"""What Python compiles while a file is read, told by its audit events."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_watchers: list[list[str]] = []
_is_hooked = False


def _hook(event: str, args: tuple[object, ...]) -> None:
    if _watchers and event == "compile":
        for sources in _watchers:
            sources.append(str(args[0]))


@contextlib.contextmanager
def compiled_sources() -> Iterator[list[str]]:
    """The sources that are compiled meanwhile; a hook cannot be taken away again, so there is one for all."""
    global _is_hooked
    if not _is_hooked:
        sys.addaudithook(_hook)
        _is_hooked = True
    sources: list[str] = []
    _watchers.append(sources)
    try:
        yield sources
    finally:
        _watchers.remove(sources)
