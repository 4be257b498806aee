"""Hostile ``.pt2`` files are refused, and nothing in them runs, neither at load nor at the first call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from int8_files import inputs_of
from pt2_attacks import ARGUMENTS, ELSEWHERE, NAMES, OPERATORS, SPECS, Attack
from pt2_containers import CONTAINERS
from pt2_seeds import Entries, entries_from, entries_of, packed, saved_lowered
from pt2_tables import TABLES
from pt2_watch import compiled_sources
from tiny_graphs import outputs_of, quantized

from fxpasses.errors import InputError
from fxpasses.export import load
from fxpasses.export.pt2.lowered import load_lowered

NET = "conv_bn_relu"
SECONDS = 20
"""Longest time in seconds to refuse a file."""

UNREAD = ("a guard", "where a node came from", "a node's functions", "a node's module", "a node's trace")
"""Places that the reader does not read, or drops: such files load, give the same integers, and run nothing."""

LEGAL = (
    *("buffer: an attribute path", "buffer: a number", "buffer: what generated code calls"),
    *("buffer: what generated code reads", "int8 node: a keyword", "int8 node: another keyword"),
    *("int8 node: the module itself", "int8 node: what generated code calls", "int8 node: what generated code reads"),
)
"""Allowed names: ``torch.os.system`` is a place in the loaded module, ``7`` a layer of a sequence, and int8 nodes have
a number after their name.
"""

HARMLESS = (*UNREAD, *LEGAL)
GROUPS = {"names": NAMES, "operators": OPERATORS, "specs": SPECS, "arguments": ARGUMENTS, "elsewhere": ELSEWHERE}


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that an attack would create; it must not exist afterwards."""
    yield tmp_path / "canary"
    assert not (tmp_path / "canary").exists()


def _code(canary: Path) -> str:
    """An expression that creates the file; without a dot, at which attribute paths are split."""
    return f"open({str(canary)!r}, 'w')".replace(".", r"\x2e")


def _why_not_refused(read: Callable[[], object], canary: Path) -> str | None:
    """Problem in the refusal of a file; None if there is none."""
    begun = time.process_time()
    try:
        with compiled_sources() as sources:
            read()
    except InputError as error:
        said = str(error)
    except BaseException as error:  # noqa: BLE001  # that is what is looked for
        return f"{type(error).__name__}: {error}"
    else:
        return "accepted"
    if canary.exists():
        return "it ran"
    if any("canary" in source for source in sources):
        return "it was compiled"
    if time.process_time() - begun > SECONDS:
        return f"it took {time.process_time() - begun:.0f} s"
    return None if "model.pt2" in said and "why:" in said and "fix:" in said else f"it says {said!r}"


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("group", [pytest.param("names", marks=pytest.mark.slow), *list(GROUPS)[1:]])
def test_no_attack_runs_and_each_is_refused(group: str, tmp_path: Path, canary: Path) -> None:
    _refuse_each(GROUPS[group], tmp_path, canary)


def test_a_fifth_of_the_names(tmp_path: Path, canary: Path) -> None:
    """Each kind of name, and everything that is put in the place of some kind."""
    _refuse_each(dict(list(NAMES.items())[::5]), tmp_path, canary)


def _refuse_each(attacks: dict[str, Attack], tmp_path: Path, canary: Path) -> None:
    wrong: dict[str, str] = {}
    for name, attack in attacks.items():
        if name in HARMLESS:
            continue
        entries = entries_of(NET)
        attack(entries, _code(canary))
        path = _written(tmp_path / "model.pt2", packed(entries))
        if why := _why_not_refused(lambda path=path: load(path), canary):  # type: ignore[misc]  # mypy infers no lambda with a default
            wrong[name] = why
    assert wrong == {}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_not_read_changes_nothing(name: str, tmp_path: Path, canary: Path) -> None:
    attack: Attack = (NAMES | ELSEWHERE)[name]
    entries = entries_of(NET)
    attack(entries, _code(canary))
    assert entries != entries_of(NET)
    with compiled_sources() as sources:
        loaded = load(_written(tmp_path / "model.pt2", packed(entries)))
    assert sources and not any("canary" in source for source in sources)
    (found,), (expected,) = (outputs_of(gm, inputs_of(NET)) for gm in (loaded, quantized(NET)))
    assert torch.equal(found, expected)


def test_containers_that_are_no_plain_archives(tmp_path: Path, canary: Path) -> None:
    wrong: dict[str, str] = {}
    for name, make in CONTAINERS.items():
        path = _written(tmp_path / "model.pt2", make())
        if why := _why_not_refused(lambda path=path: load(path), canary):  # type: ignore[misc]  # mypy infers no lambda with a default
            wrong[name] = why
    assert wrong == {}


def test_numbers_that_do_not_fit(tmp_path: Path, canary: Path) -> None:
    wrong: dict[str, str] = {}
    for name, change in TABLES.items():
        entries = entries_of(NET)
        change(entries)
        assert entries != entries_of(NET), name
        path = _written(tmp_path / "model.pt2", packed(entries))
        if why := _why_not_refused(lambda path=path: load(path), canary):  # type: ignore[misc]  # mypy infers no lambda with a default
            wrong[name] = why
    assert wrong == {}


@pytest.mark.slow
def test_lowered_files_are_read_in_the_same_way(tmp_path: Path, canary: Path) -> None:
    seed = entries_from(saved_lowered())
    wrong: dict[str, str] = {}
    attacks = {k: v for k, v in {**NAMES, **OPERATORS, **SPECS, **ARGUMENTS}.items() if k not in LEGAL}
    for name, attack in attacks.items():
        if name.startswith(("int8 node", "keyword")) or name in ("an unknown dtype",):
            continue  # the facts of a LOWERED graph have no names; its first call has no second argument
        entries: Entries = dict(seed)
        attack(entries, _code(canary))
        path = _written(tmp_path / "model.pt2", packed(entries))
        if why := _why_not_refused(lambda path=path: load_lowered(path), canary):  # type: ignore[misc]  # mypy infers no lambda with a default
            wrong[name] = why
    assert wrong == {}


def test_the_canary_would_sing(tmp_path: Path) -> None:
    """The expression creates its file if it is evaluated: otherwise the tests above could not fail."""
    with compiled_sources() as sources:
        eval(_code(tmp_path / "canary")).close()
    assert (tmp_path / "canary").exists()
    assert "canary" in sources[-1]
