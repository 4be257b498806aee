"""Stores the measurements of long searches as JSON lines, so that an interrupted search continues where it stopped.

The first line names the subject of the measurements; a journal with another subject is started again. A line is written
and flushed as soon as its measurement is done; a line cut off by a crash is ignored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.export.files import write_text_atomic
from fxpasses.formats.documents import checked, require_plain
from fxpasses.formats.regular_files import why_not_regular

FIX = "delete the journal: what it holds is measured again"


class Journal:
    """Measurements by a key of plain values. Without a path nothing is written."""

    def __init__(self, path: Path | None, about: dict[str, Any]) -> None:
        """Open a journal, or start one.

        Raises:
            InputError: the file cannot be written, or one of its measurements is not valid.
        """
        self.path = path
        self._found: dict[str, dict[str, Any]] = {}
        if path is None:
            return
        lines = _lines(path)
        self.was_about_something_else = bool(lines) and lines[0] != {"about": about}
        if lines and not self.was_about_something_else:
            self._found = {_text(line["key"]): _value(line, path) for line in lines[1:] if "key" in line}
        kept = [{"key": json.loads(key), "value": value} for key, value in self._found.items()]
        write_text_atomic(path, "".join(f"{_text(line)}\n" for line in [{"about": about}, *kept]))

    was_about_something_else = False

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: object) -> dict[str, Any] | None:
        """The measurement of a key; None if there is none."""
        return self._found.get(_text(key))

    def put(self, key: object, value: dict[str, Any]) -> None:
        """Store a measurement."""
        self._found[_text(key)] = value
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_text({"key": key, "value": value}) + "\n")


def _lines(path: Path) -> list[Any]:
    why = why_not_regular(path) if path.exists() else None
    if why:
        raise InputError(f"cannot write the journal {path}", why=why, fix="choose another `out`")
    if not path.exists():
        return []
    written = [_parsed(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return [line for line in written if isinstance(line, dict)]


def _parsed(line: str) -> object:
    """The value in a line; None if the line was cut off by a crash, or is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _value(line: dict[str, Any], path: Path) -> dict[str, Any]:
    """The measurement in a line, checked against the format for its key."""
    from fxpasses.formats.journal import Measurement, value_model

    require_plain(line, path, FIX)
    checked(Measurement, line, path, FIX)
    model = value_model(line["key"])
    if model is not None:
        checked(model, line["value"], path, FIX)
    value: dict[str, Any] = line["value"]
    return value


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
