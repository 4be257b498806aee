"""Read a JSON document from outside, and check it against the model of its format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fxpasses.errors import InputError

from .plain_values import key_text, why_not_plain
from .regular_files import why_not_regular

if TYPE_CHECKING:
    from pydantic import BaseModel

    M = TypeVar("M", bound=BaseModel)

LARGEST_FILE = 256 << 20
"""Largest file in bytes; reports of the largest nets have a few million."""
_SHOWN = 60


def read_text(path: Path, what: str, fix: str) -> str:
    """The text of a regular file; InputError for anything else. ``what`` names the file: ``"the recipe"``."""
    why = why_not_regular(path)
    if why:
        raise InputError(f"cannot read {what} {path}", why=why, fix=fix)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(f"cannot read {what} {path}", why=f"it has {size} bytes", fix=fix)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {what} {path}", why=str(error), fix=fix) from error


def read_json(path: Path, what: str, fix: str) -> object:
    """JSON document in a file, with plain values only; InputError names the file, and the key of any other value."""
    text = read_text(path, what, fix)
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError) as error:  # a number with thousands of digits is a ValueError, too
        raise InputError(f"{what} {path} is not JSON", why=str(error), fix=fix) from error
    require_plain(document, path, fix)
    return document


def require_plain(document: object, path: Path, fix: str) -> None:
    """Raise InputError, with the key, for a value that is not plain."""
    problem = why_not_plain(document)
    if problem:
        raise InputError(f"{path}: {key_text(problem[0])}", why=problem[1], fix=fix)


@contextmanager
def named(path: Path, key: str) -> Iterator[None]:
    """Add the file and the key to an InputError that the block raises."""
    try:
        yield
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {key}: {error.what}", why=error.why, fix=error.fix, at=error.at) from error


def checked(model: type[M], document: object, path: Path | str, fix: str) -> M:
    """The document as an instance of its model; InputError names the file, the key, the value, and the expected one."""
    from pydantic import ValidationError

    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = key_text(_in_document(first["loc"], document))
        found = "" if first["type"] == "missing" else f" = {first['input']!a:.{_SHOWN}}"
        raise InputError(f"{path}: {key}{found}", why=first["msg"], fix=fix) from error


def _in_document(location: tuple[str | int, ...], document: object) -> tuple[str | int, ...]:
    """A location from pydantic without the names of union members, which are no keys of the file."""
    found: list[str | int] = []
    for number, step in enumerate(location):
        is_key = isinstance(document, dict) and step in document
        if is_key or (isinstance(document, list) and isinstance(step, int) and step < len(document)):
            document = document[step]  # type: ignore[index]  # a key of the one, an index of the other
        elif number < len(location) - 1 or not isinstance(document, dict):
            continue
        found.append(step)
    return tuple(found)
