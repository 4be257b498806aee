"""Refuses options of ``quantize`` that the chosen ``--method`` would ignore, with the reason."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from fxpasses.errors import InputError

from .quantize import METHODS, QuantizeOptions
from .table import Row, options_of


def check_method(method: str) -> None:
    """Raise InputError if the method is unknown."""
    if method not in METHODS:
        raise InputError(f"--method {method}", why="there is no such method", fix=f"use {' or '.join(METHODS)}")


def given_options(context: typer.Context) -> list[str]:
    """Options on the command line, each by its first spelling."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name and _is_said(context, parameter.name) and parameter.opts[0].startswith("--")
    ]


def refuse_alien_options(method: str, given: Iterable[str]) -> None:
    """Raise InputError for the first option on the command line that the method does not use."""
    rows = _rows()
    for option in given:
        row = rows.get(option, Row())
        if row.methods and method not in row.methods:
            fix = f"leave it out, or use --method {row.methods[0]}"
            raise InputError(f"{option} with --method {method}", why=row.why_not, fix=fix)


def refuse_beside_qat(is_trained: bool, given: Iterable[str]) -> None:
    """Raise InputError for options of ``--qat`` without it, and for options that have no effect beside it."""
    rows, given = _rows(), list(given)
    if not is_trained:
        alone = [option for option in given if rows.get(option, Row()).beside_qat == "only"]
        if alone:
            fix = "add --qat EPOCHS, or leave it out"
            raise InputError(f"{alone[0]} without --qat", why="nothing is trained", fix=fix)
        return
    refused = [option for option in given if rows.get(option, Row()).beside_qat == "never"]
    if refused:
        why = "training chooses ranges, rounding and statistics itself, for one set of settings"
        raise InputError(f"--qat with {' and '.join(refused)}", why=why, fix="drop one of them")


def said_in_recipe(options: QuantizeOptions) -> list[str]:
    """Options with a non-default value. They conflict with ``--recipe``."""
    values = [(option, getattr(options, option.name)) for option in options_of(QuantizeOptions)]
    return [
        option.said(value)
        for option, value in values
        if option.row.in_recipe and value != option.default and value != []
    ]


def _rows() -> dict[str, Row]:
    return {option.spelling: option.row for option in options_of(QuantizeOptions)}


def _is_said(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
