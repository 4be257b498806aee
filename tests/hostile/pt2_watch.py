"""Records the sources that Python compiles while a file is read, from its audit events."""

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
    """Sources that are compiled in a block. One hook serves all blocks, because a hook cannot be removed."""
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
