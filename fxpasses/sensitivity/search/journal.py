"""What long searches have measured so far, as JSON lines: a search that was interrupted goes on where it stopped.

The first line says what the measurements are about; a journal about something else is begun anew. A line is written and
flushed as soon as its measurement is done; one cut off by a crash is ignored.
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
        """Opens a journal, or begins one.

        Raises:
            InputError: the file cannot be written, or holds a measurement that is none.
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
        """What was measured for a key; None if it was not."""
        return self._found.get(_text(key))

    def put(self, key: object, value: dict[str, Any]) -> None:
        """Remember a measurement."""
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
    """What a line says; None for one cut off by a crash, or written by something else."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _value(line: dict[str, Any], path: Path) -> dict[str, Any]:
    """The measurement in a line, checked against the format of what its key is about."""
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
