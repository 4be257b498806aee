"""Read untrusted JSON key by key; type, range and length of each value are checked.

All functions raise :class:`RefusedError` with a reason; :func:`refusing` turns it into an ``InputError`` that names the
file, and does the same with any exception that torch raises for a file that passed these checks.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fxpasses.errors import FxPassesError, InputError

SAVE_AGAIN = "save the model again with fx.export.save"
TRUST = "get the model from someone you trust, saved with fx.export.save"
INT64 = 2**63 - 1
_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except line breaks and tabs, characters that change the direction of writing, lone surrogates."""

_SHOWN = 80
"""Number of characters of untrusted text that messages repeat."""


class RefusedError(Exception):
    """A file is refused: the reason, and the fix."""

    def __init__(self, why: str, fix: str = SAVE_AGAIN) -> None:
        self.why, self.fix = why, fix
        super().__init__(why)


@contextlib.contextmanager
def refusing(path: Path, fix: str = SAVE_AGAIN) -> Iterator[None]:
    """Turn any exception from reading a file into an ``InputError`` that names the file."""
    try:
        yield
    except RefusedError as error:
        raise InputError(f"{path}", why=error.why, fix=error.fix) from error
    except FxPassesError as error:
        reason = getattr(error, "why", str(error))
        raise InputError(f"{path}", why=f"it is damaged, or of another version: {reason}", fix=fix) from error
    except Exception as error:  # torch may raise anything for wrong arguments of an operator
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path}", why=f"it is damaged, or of another version: {shown(reason, 300)}", fix=fix
        ) from error


def shown(text: str, length: int = _SHOWN) -> str:
    """Untrusted text for messages: short, and without control characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:length])
    return clean + ("..." if len(text) > length else "")


def parsed(name: str, data: bytes) -> Any:
    """A JSON document in UTF-8, without ``NaN`` and without repeated keys."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise RefusedError(f"it is damaged: {name} is nested too deeply") from None
    except ValueError as error:  # from json, from UTF-8, and for integers with thousands of digits
        raise RefusedError(f"it is damaged: {name} is no JSON: {shown(str(error))}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice, which readers take in different ways")
    return made


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "no table", value)
    return value


def items(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "no list", value)
    return value


def field(value: object, key: str, where: str) -> Any:
    """The value of a key, which must be there, in a table."""
    found = table(value, where)
    if key not in found:
        raise RefusedError(f"it is damaged: {where} has no {key!r}")
    return found[key]


def only(value: object, where: str) -> tuple[str, Any]:
    """Key and value of a table with one entry, which is torch's form of unions."""
    found = table(value, where)
    if len(found) != 1:
        raise RefusedError(f"it is damaged: {where} is {len(found)} things at once")
    return next(iter(found.items()))


def integer(value: object, where: str, low: int = -INT64 - 1, high: int = INT64) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(where, "no integer", value)
    if not low <= value <= high:
        raise RefusedError(f"it is damaged: {where} is not between {low} and {high}")
    return value


def number(value: object, where: str) -> float:
    """A float in torch's form: infinities and NaN, for which JSON has no numbers, are words."""
    if value in ("Infinity", "-Infinity", "NaN"):
        return float(str(value))
    if isinstance(value, int):
        return float(integer(value, where))
    if not isinstance(value, float) or not math.isfinite(value):
        raise _wrong(where, "no finite number", value)
    return value


def truth(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "neither true nor false", value)
    return value


def text(value: object, where: str, length: int = 1_000_000) -> str:
    """Printable text of at most ``length`` characters."""
    if not isinstance(value, str):
        raise _wrong(where, "no text", value)
    if len(value) > length:
        raise RefusedError(f"it is damaged: {where} has more than {length} characters")
    if _UNPRINTABLE.search(value):
        raise _wrong(where, "no text that can be printed", value)
    return value


def _wrong(where: str, what: str, value: object) -> RefusedError:
    kind = shown(repr(value)) if isinstance(value, (str, int, float, bool)) else type(value).__name__
    return RefusedError(f"it is damaged: {where} is {what}: {kind}")
