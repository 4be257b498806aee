"""Netron opens a file, or the error says why it does not."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fxpasses.errors import InputError
from fxpasses.reports.view import SUFFIXES, view, why_not_viewable


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        content: bytes = answer.read()
    return content


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
    return port


def is_served(url: str) -> bool:
    try:
        fetch(url)
    except OSError:
        return False
    return True


def until_served(url: str) -> None:
    for _ in range(200):
        if is_served(url):
            return
        time.sleep(0.1)
    pytest.fail(f"nothing was served at {url}")


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"bytes of a model")
    return file


def test_serves_the_page_and_the_file_and_stops(model_file: Path) -> None:
    viewer = view(model_file, browse=False, wait=False)
    try:
        assert b"model.onnx" in fetch(viewer.url)
        assert fetch(f"{viewer.url}/data/model.onnx") == b"bytes of a model"
    finally:
        viewer.stop()
    viewer.stop()
    assert not is_served(viewer.url)


def test_serves_this_machine_only(model_file: Path) -> None:
    viewer = view(model_file, browse=False, wait=False)
    try:
        assert viewer.url.startswith("http://localhost:")
    finally:
        viewer.stop()


def test_a_browser_is_opened_only_if_asked_for(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    view(model_file, browse=False, wait=False).stop()
    assert opened == []
    viewer = view(model_file, browse=True, wait=False)
    viewer.stop()
    assert opened == [viewer.url]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a child there")
def test_waits_until_ctrl_c_which_is_no_error(model_file: Path) -> None:
    port = free_port()
    code = f"from pathlib import Path; from fxpasses.reports.view import view; view(Path({str(model_file)!r}), {port}"
    child = subprocess.Popen([sys.executable, "-c", f"{code}, browse=False); print('left')"], stdout=subprocess.PIPE)
    try:
        until_served(f"http://localhost:{port}")
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    assert (child.returncode, output.decode().strip()) == (0, "left")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.onnx", "no such file"),
        ("folder.onnx", "it is a folder"),
        ("notes.txt", r"kind \.txt have no graph"),
        ("notes", "kind without a suffix"),
    ],
)
def test_a_file_that_cannot_be_drawn(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder.onnx").mkdir()
    for existing in ("notes.txt", "notes"):
        (tmp_path / existing).write_text("text")
    with pytest.raises(InputError, match=rf"(?s)cannot view .*{reason}.*fix: name a file that ends in .onnx"):
        view(tmp_path / name, browse=False, wait=False)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_artifact_can_be_drawn(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix.upper()}"
    file.write_bytes(b"x")
    assert why_not_viewable(file) is None


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_does_not_exist(model_file: Path, port: int) -> None:
    with pytest.raises(InputError, match=f"port {port}\n  why: there is no such port"):
        view(model_file, port, browse=False, wait=False)


def test_a_port_in_use_by_another_program(model_file: Path) -> None:
    with socket.socket() as other:
        other.bind(("localhost", 0))
        other.listen()
        with pytest.raises(InputError, match=r"cannot serve on port \d+\n  why: another program uses it"):
            view(model_file, other.getsockname()[1], browse=False, wait=False)


def test_a_second_view_does_not_end_the_first(model_file: Path) -> None:
    first = view(model_file, browse=False, wait=False)
    try:
        with pytest.raises(InputError, match="another program uses it"):
            view(model_file, first.port, browse=False, wait=False)
        assert b"model.onnx" in fetch(first.url)
    finally:
        first.stop()
