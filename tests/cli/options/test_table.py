"""Groups of options as tables: typer and commands read them, and the table agrees with the settings."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from fxpasses.cli.options.quantize import METHODS, QuantizeOptions
from fxpasses.cli.options.source import MeasureOptions, SourceOptions
from fxpasses.cli.options.table import Row, options_of, takes_groups
from fxpasses.quantization.config import QuantConfig


@dataclass(frozen=True, kw_only=True)
class Pair:
    name: Annotated[str, typer.Argument()]
    fast: Annotated[bool, typer.Option("--fast/--no-fast"), Row(sets="speed")] = True
    often: Annotated[int, typer.Option("--often", metavar="N"), Row(("a",), "b has none")] = 3


got: list[Any] = []


@takes_groups
def command(pair: Pair, count: Annotated[int, typer.Option("--count")] = 1) -> None:
    """A command."""
    got[:] = [pair, count]


def test_typer_sees_every_option() -> None:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, ["me", "--no-fast", "--often", "5", "--count", "2"])
    assert done.exit_code == 0, done.output
    assert got == [Pair(name="me", fast=False, often=5), 2]
    assert CliRunner().invoke(app, ["me"]).exit_code == 0 and got == [Pair(name="me"), 1]
    assert CliRunner().invoke(app, []).exit_code == 2  # the argument is missing


def test_the_signature_is_flat() -> None:
    assert list(inspect.signature(command).parameters) == ["name", "fast", "often", "count"]
    assert command.__doc__ == "A command."


def test_options_of_a_group() -> None:
    fast, often = options_of(Pair)
    assert (fast.spelling, fast.said(False), fast.said(True)) == ("--fast", "--no-fast", "--fast")
    assert (fast.row.sets, fast.default) == ("speed", True)
    assert (often.spellings, often.row.why_not) == (("--often",), "b has none")


def test_what_is_not_for_all_methods_says_why() -> None:
    for option in options_of(QuantizeOptions):
        row = option.row
        assert set(row.methods) <= set(METHODS) and bool(row.methods) == bool(row.why_not), option.name
        assert row.beside_qat in ("may", "only", "never"), option.name
        assert option.default is not MISSING, option.name


def test_every_setting_has_an_option() -> None:
    """A new field of QuantConfig needs an option, or a place in this list."""
    without = {"overrides", "weight_search", "tie_free"}  # two follow from others; the last is for comparisons
    reached = {option.row.sets for option in options_of(QuantizeOptions)}
    assert {field.name for field in fields(QuantConfig)} - reached == without


@pytest.mark.parametrize("group", [QuantizeOptions, MeasureOptions, SourceOptions])
def test_no_two_options_are_spelled_alike(group: type[Any]) -> None:
    spellings = [text for option in options_of(group) for text in option.spellings]
    assert len(spellings) == len(set(spellings))
