"""The guide's example works as printed: the pass, its contract, its tests, and the broken pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contracts import Contract, ContractBroken, check_contract
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "writing_a_pass.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    """Names that the guide's code defines, run from top to bottom."""
    names: dict[str, Any] = {"__name__": "the_guide"}
    for number, block in enumerate(blocks("python")):
        exec(compile(block, f"docs/writing_a_pass.md, block {number}", "exec"), names)
    return names


def test_the_text_and_the_log_are_as_printed(guide: dict[str, Any]) -> None:
    printed, log = blocks("text")
    assert guide["text"] == printed
    result = guide["log"].result
    lines = [f"changed: {c.node}, {c.what}" for c in result.changed] + [
        f"skipped: {s.node}, {s.why}" for s in result.skipped
    ]
    assert "\n".join(lines) + "\n" == log


@pytest.mark.parametrize("net", each_net(TINY))
def test_the_contract_holds_on_every_tiny_net(net: str, guide: dict[str, Any]) -> None:
    check_contract(guide["contract"], TINY[net])


def test_the_contract_holds_on_the_guides_own_nets(guide: dict[str, Any]) -> None:
    results = [check_contract(guide["contract"], net) for net in guide["nets"]]
    assert [(len(r.changed), len(r.skipped)) for r in results] == [(1, 0), (2, 0), (0, 1), (0, 1)]


def test_the_guides_tests_pass(guide: dict[str, Any]) -> None:
    tests: list[Callable[[], None]] = [value for name, value in guide.items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        test()


def test_the_broken_pass_is_rejected_as_printed(guide: dict[str, Any]) -> None:
    contract: Contract = replace(guide["contract"], graph_pass=guide["folds_without_asking"])
    nets = {net.name: net for net in guide["nets"]}
    told = re.findall(
        r"`(\w+)` it is rejected with `([^`]+)`, and on `(\w+)`\nwith `([^`]+)`", GUIDE.read_text("utf-8")
    )
    ((first, why, second, why_too),) = told
    for name, message in ((first, why), (second, why_too)):
        with pytest.raises(ContractBroken, match=re.escape(message)):
            check_contract(contract, nets[name])


def test_what_the_guide_names_exists() -> None:
    root = GUIDE.parent.parent
    paths = set(re.findall(r"`((?:fxpasses|tests|models|scripts)/[\w/.]+)`", GUIDE.read_text("utf-8")))
    made_up = {"fxpasses/passes/factors.py", "tests/test_factors.py"}
    assert {path for path in paths - made_up if not (root / path).exists()} == set()
