"""Replaces parameter names in errors by options of the command line.

The library writes a parameter in backticks, as Python has it: ```bits=3```, ```keep_float=["conv1"]```, or ```metric```
alone. Here each becomes the option that sets it: ``--bits 3``, ``--keep-float conv1``, ``--metric``. A parameter
without an option stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import typer
from typer.core import TyperGroup

from .options.quantize import QuantizeOptions
from .options.table import options_of

_PARAMETER = re.compile(r"`(?P<name>[a-z]\w*)(?:=(?P<value>[^`]+))?`")
_OVERRIDE = re.compile(r'\[Override\("(?P<match>[^"]+)", keep_float=True\)\]')
"""Pattern of the one setting of ``overrides`` that has its own option."""


_NO_QUOTES = str.maketrans("", "", "\"'")
Spellings = Mapping[str, tuple[str, ...]]
"""Options that set each parameter: ``{"exact": ("--exact",), "equalization": ("--equalize", ...)}``."""


def as_options(message: str, spellings: Spellings) -> str:
    """Return a message with options in place of parameters."""
    return _PARAMETER.sub(lambda found: _option(found, spellings), message)


def _option(found: re.Match[str], spellings: Spellings) -> str:
    name, value = found["name"], found["value"]
    kept = _OVERRIDE.fullmatch(value or "")
    if name == "overrides" and kept:
        return f"--keep-float {kept['match']}"
    if name not in spellings:
        return found[0]
    if value in (None, "True", "False"):
        return spellings[name][-1 if value == "False" else 0]
    return f"{spellings[name][0]} {value.strip('[]').translate(_NO_QUOTES)}"


def spellings_of(app: typer.Typer | TyperGroup) -> Spellings:
    """Map each parameter to its options: from the table, else the option of the same name.

    Args:
        app: the application with all its commands, as declared or as typer makes it.
    """
    own = {option.row.sets: option.spellings for option in options_of(QuantizeOptions) if option.row.sets}
    group = app if isinstance(app, TyperGroup) else typer.main.get_group(app)
    return dict(_all_options(group)) | own


def _all_options(group: TyperGroup) -> Iterator[tuple[str, tuple[str, ...]]]:
    for command in group.commands.values():
        for one in command.params:
            if one.name and one.opts[0].startswith("--"):
                yield one.name, (*one.opts[:1], *one.secondary_opts[:1])
