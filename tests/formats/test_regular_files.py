"""Only regular files are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fxpasses.errors import InputError
from fxpasses.formats.regular_files import require_regular, why_not_regular


def test_files_and_links_to_them(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert why_not_regular(tmp_path / "file") is None
    assert why_not_regular(tmp_path / "link") is None
    require_regular(tmp_path / "link", "x")


def test_everything_else(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    found = {name: why_not_regular(tmp_path / name) for name in ("pipe", "loop", "absent", ".")}
    assert (
        found["pipe"]
        == why_not_regular(Path("/dev/null"))
        == "it is a pipe, a socket or a device, and only files are read"
    )
    assert found["absent"] == why_not_regular(tmp_path / "pipe" / "x") == "there is no such file"
    assert found["."] == "it is a folder"
    assert "symbolic links" in str(found["loop"])
    assert why_not_regular(Path("a\0b")) == "embedded null byte"
    with pytest.raises(InputError, match=r"(?s)cannot open .*pipe.*only files are read.*fix: name a file"):
        require_regular(tmp_path / "pipe", "name a file")
