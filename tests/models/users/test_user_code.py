"""Running the caller's file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fxpasses.errors import InputError
from fxpasses.models.users.user_code import call_factory, is_user_code, load_factory


def test_only_python_files_are_user_code() -> None:
    assert is_user_code("a/b.py:net")
    assert is_user_code("a/b.py")
    assert not is_user_code("torchvision/resnet18")
    assert not is_user_code("images=C:/data")


def test_the_factory_is_found_and_called(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from __future__ import annotations\ndef net(): return 42")
    assert call_factory(load_factory(f"{tmp_path}/own.py:net"), "own.py:net") == 42


def test_a_file_written_again_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "own.py"
    for number in (1, 2):
        path.write_text(f"def net(): return {number}")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert load_factory(f"{path}:net")() == number
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def net(:", "SyntaxError"),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def other(): pass", r"has no function 'net'.*it defines: other"),
        ("net = 3", r"has no function 'net'.*no callables"),
    ],
)
def test_a_file_that_does_not_work_is_named(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(InputError, match=f"(?s)own.py.*{message}"):
        load_factory(f"{tmp_path}/own.py:net")


def test_a_factory_that_fails_is_named() -> None:
    def net() -> object:
        raise ValueError("no weights")

    with pytest.raises(InputError, match=r"(?s)own.py:net failed.*ValueError: no weights"):
        call_factory(net, "own.py:net")


@pytest.mark.parametrize("spec", ["own.py", "own.py:", "own.py:not a name"])
def test_a_spec_without_a_function_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="does not name a factory"):
        load_factory(spec)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"cannot open no/such/file.py"):
        load_factory("no/such/file.py:net")
