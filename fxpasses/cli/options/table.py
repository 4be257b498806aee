"""Groups of options as tables: a dataclass whose fields are options; each field has a row with further facts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.models import ParameterInfo

from fxpasses.quantization.repair_table import Repair, repair_in


@dataclass(frozen=True)
class Row:
    """Further facts of an option, beside its type, default and help.

    Attributes:
        methods: values of ``--method`` that have the option; none means all.
        why_not: reason why the other methods do not have it.
        sets: the parameter of the Python interface that the option sets; by default the field's own name.
        in_recipe: whether a recipe sets it, so that the option and ``--recipe`` conflict.
        beside_qat: ``"only"`` if the option has no effect without ``--qat``; ``"never"`` if it has none beside it.
    """

    methods: tuple[str, ...] = ()
    why_not: str = ""
    sets: str | None = None
    in_recipe: bool = False
    beside_qat: str = "may"


@dataclass(frozen=True)
class Option:
    """One option of a group.

    Attributes:
        name: name of the field.
        spellings: on the command line: ``("--exact",)``, or ``("--equalize", "--no-equalize")``; empty for arguments.
        default: the value if the option is not given; ``MISSING`` if it is required.
        row: further facts.
    """

    name: str
    spellings: tuple[str, ...]
    default: Any
    row: Row = field(default_factory=Row)

    @property
    def spelling(self) -> str:
        """The option's name in messages: ``--equalize``."""
        return self.spellings[0]

    def said(self, value: Any) -> str:
        """The spelling that gives the value: ``--no-equalize`` for False."""
        return self.spellings[-1] if value is False else self.spellings[0]


def options_of(group: type[Any]) -> Iterator[Option]:
    """Options of a group, in their order, without arguments."""
    hints = _hints_of(group)
    for one in fields(group):
        notes = get_args(hints[one.name])[1:]
        infos = [note for note in notes if isinstance(note, ParameterInfo)]
        rows = [note for note in notes if isinstance(note, Row)]
        spellings = _spellings(infos[0]) if infos else ()
        if spellings:
            yield Option(one.name, spellings, one.default, rows[0] if rows else Row())


def _hints_of(group: type[Any]) -> dict[str, Any]:
    """Types of a group's fields, each with the option and the row among its notes."""
    found = get_type_hints(group, include_extras=True)
    return {name: _as_option(name, hint, repair_in(hint)) for name, hint in found.items()}


def _as_option(setting: str, hint: Any, repair: Repair | None) -> Any:
    """The option of a repair, made from its row; any other type stays as it is."""
    if repair is None:
        return hint
    spelled = value_type(hint)
    option = typer.Option(repair.option, metavar=repair.metavar, help=repair.help, show_default=repair.off is not None)
    row = Row(repair.methods, repair.why_not, setting, in_recipe=True, beside_qat=repair.beside_qat)
    return Annotated[spelled, option, row]


def value_type(hint: Any) -> Any:
    """Type of a repair's value on the command line: its setting's type, or text for a choice of numbers and words."""
    plain = get_args(hint)[0]
    kinds = [kind for kind in get_args(plain) or (plain,) if kind is not NoneType]
    return plain if len(kinds) == 1 else str | None


def _spellings(info: ParameterInfo) -> tuple[str, ...]:
    """Both spellings of ``"--a/--no-a"``; typer keeps the first one of ``Annotated`` options as the default."""
    declared = (info.default, *(info.param_decls or ()))
    return tuple(part for text in declared if isinstance(text, str) for part in text.split("/"))


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command that takes groups, so that typer sees one parameter for each option of a group."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    flat: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        flat += _flat(groups[name]) if name in groups else [_keyword(name, hints[name], parameter.default)]

    @functools.wraps(command)
    def flattened(**values: Any) -> None:
        made = {name: group(**{f.name: values.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**values, **made)

    flattened.__signature__ = inspect.Signature(flat, return_annotation=None)  # type: ignore[attr-defined]  # functions take one
    flattened.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    del flattened.__wrapped__
    return flattened


def _flat(group: type[Any]) -> Iterator[inspect.Parameter]:
    hints = _hints_of(group)
    for one in fields(group):
        yield _keyword(one.name, hints[one.name], inspect.Parameter.empty if one.default is MISSING else one.default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
