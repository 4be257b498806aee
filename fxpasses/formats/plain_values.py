"""Check that a document from a file is plain: all its values can be read and written by any JSON software."""

from __future__ import annotations

import math

DEEPEST = 40
MOST_CHARACTERS = 1_000_000
LARGEST = 2**63 - 1
Path = tuple[str | int, ...]


def key_text(path: Path) -> str:
    """A path as text, such as ``variants[2].name``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return ascii(text.removeprefix("."))[1:-1] or "the whole document"


def why_not_plain(document: object) -> tuple[Path, str] | None:
    """Path and reason of a value that is not plain; None if all are. Not recursive, since depth itself is checked."""
    waiting: list[tuple[Path, object]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > DEEPEST:
            return path[:3], f"it is nested more than {DEEPEST} deep"
        if isinstance(value, dict):
            for key, below in value.items():
                problem = _why_not_text(key)
                if problem:
                    return path, f"a key in it {problem}"
                waiting.append(((*path, key), below))
        elif isinstance(value, list):
            waiting.extend(((*path, index), below) for index, below in enumerate(value))
        else:
            problem = _why_not_scalar(value)
            if problem:
                return path, f"it {problem}"
    return None


def _why_not_scalar(value: object) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if abs(value) <= LARGEST else "is a number of more than 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}"
    if isinstance(value, str):
        return _why_not_text(value)
    return f"is a {type(value).__name__}"


def _why_not_text(text: object) -> str | None:
    if not isinstance(text, str):
        return f"is a {type(text).__name__}, not text"
    if len(text) > MOST_CHARACTERS:
        return f"is a text of {len(text)} characters"
    if "\0" in text:
        return "holds a null character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no text"
    return None
