"""The script that runs all checks reports each failure, and always runs the others."""

from __future__ import annotations

import check
import pytest

PASSING, FAILING = ("this",), ("no_such_module",)


def asked_of(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> dict[str, tuple[str, ...]]:
    """Checks that the script runs with these arguments if all of them pass."""
    asked: dict[str, tuple[str, ...]] = {}

    def pass_all(checks: dict[str, tuple[str, ...]]) -> list[str]:
        asked.update(checks)
        return []

    monkeypatch.setattr(check, "failed", pass_all)
    assert check.main(arguments) == 0
    return asked


def test_every_check_runs_and_failures_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert check.failed({"first": FAILING, "second": PASSING}) == ["first"]
    printed = capfd.readouterr().out
    assert "first: FAILED" in printed
    assert "The Zen of Python" in printed
    assert "second: ok" in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["ruff", "format", "mypy", "pytest"]),
        (["--slow"], ["ruff", "format", "mypy", "pytest", "slow tests"]),
    ],
)
def test_what_runs(monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: list[str]) -> None:
    assert list(asked_of(monkeypatch, arguments)) == expected


def test_failure_is_the_exit_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check, "failed", lambda checks: ["mypy"])
    assert check.main([]) == 1
    assert "failed: mypy" in capsys.readouterr().out


def test_fix_mends_before_it_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_of(monkeypatch, ["--fix"])
    assert asked["ruff"] == ("ruff", "check", "--fix", ".")
    assert asked["format"] == ("ruff", "format", ".")
