"""Two models in one page, both served to this machine only, until stopped."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fxpasses.errors import InputError
from fxpasses.reports.compare.side_by_side import page_of, view_both


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        content: bytes = answer.read()
    return content


def test_a_page_with_both_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    both = view_both(tmp_path / "a.onnx", tmp_path / "b.onnx", browse=False)
    try:
        page = fetch(both.url).decode()
        for viewer, name in zip(both.viewers, ("a.onnx", "b.onnx"), strict=True):
            assert f'<iframe src="{viewer.url}" title="{name}">' in page
            assert fetch(f"{viewer.url}/data/{name}") == name.encode()
            assert f'content="/data/{name}"' in fetch(viewer.url).decode()  # which is what is drawn
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"{both.url}/etc/passwd")
    finally:
        both.stop()
    with pytest.raises(OSError, match=r"refused|reset"):
        fetch(both.url)


def test_a_second_file_that_is_absent_leaves_nothing_served(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"a")
    with pytest.raises(InputError, match="there is no such file"):
        view_both(tmp_path / "a.onnx", tmp_path / "b.onnx", browse=False)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"a")
    both = view_both(tmp_path / "a.onnx", tmp_path / "a.onnx", browse=False)
    try:
        with pytest.raises(InputError, match="choose another `port`"):
            view_both(tmp_path / "a.onnx", tmp_path / "a.onnx", int(both.url.rpartition(":")[2]), browse=False)
    finally:
        both.stop()


def test_equal_names_are_told_apart_and_names_are_no_markup() -> None:
    page = page_of(((Path("x/m<b>.onnx"), "http://localhost:1"), (Path("y/m<b>.onnx"), "http://localhost:2")))
    assert "x/m&lt;b&gt;.onnx" in page and "y/m&lt;b&gt;.onnx" in page and "<b>" not in page
