"""Files and folders that cannot be written or read, and Ctrl-C: exit 2 or 130, and no incomplete files."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from cli_runs import (
    OLD,
    SMALL,
    Run,
    command,
    copied,
    fxpasses,
    fxpasses_process,
    is_refused,
    mounted,
    quickstart,
    tree,
)

SLOW = """
import time
from pathlib import Path
import torch

def slow():
    yield torch.randn(8, 1, 8, 8)
    (Path(__file__).parent / "begun").touch()
    time.sleep(60)
"""


class _Payload:
    """Object whose pickle is a program that makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that already holds a report, which must not change."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_bytes(OLD)
    return tmp_path / "out"


@pytest.fixture
def small_disk(out: Path) -> Iterator[Path]:
    """``out`` on a separate file system that is too small for the files and still holds its report."""
    if not mounted(out, "-t", "tmpfs", "-o", "size=200k", "tmpfs"):
        pytest.skip("mounting a small file system is not permitted here")
    (out / "report.json").write_bytes(OLD)
    yield out
    subprocess.run(["umount", str(out)], check=True)


@pytest.mark.slow
def test_a_full_disk(small_disk: Path) -> None:
    is_refused(fxpasses_process("quantize", *SMALL, "--out", small_disk), "the disk is full", small_disk)


@pytest.mark.slow
def test_a_full_disk_of_temporary_files(small_disk: Path, tmp_path: Path) -> None:
    folder = copied(quickstart()[0], tmp_path)
    (small_disk / "filler").write_bytes(bytes(190_000))
    done = fxpasses_process("audit", folder / "model.fp32.onnx", TMPDIR=str(small_disk))
    is_refused(done, str(small_disk))


@pytest.mark.slow
def test_a_file_size_limit(out: Path) -> None:
    """``ulimit -f``: writing fails as on a full disk, also in torch and onnxruntime."""
    done = subprocess.run(
        command("quantize", *SMALL, "--out", out),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    is_refused(Run(done.returncode, done.stdout, done.stderr), "file size limit", out)


def test_a_read_only_folder(out: Path) -> None:
    """Root ignores permissions; for root a read-only mount is used."""
    is_mount = mounted(out, "-t", "tmpfs", "tmpfs")
    (out / "report.json").write_bytes(OLD)
    if is_mount:
        subprocess.run(["mount", "-o", "remount,ro", str(out)], check=True)
    else:
        out.chmod(0o555)
        if os.access(out, os.W_OK):
            pytest.skip("this user may write to every folder")
    try:
        is_refused(fxpasses("quantize", *SMALL, "--out", out), "cannot write", out)
        is_refused(
            fxpasses("train", "digits_cnn", "--data", "digits", "--epochs", "1", "--out", out / "w.pt"), "cannot"
        )
    finally:
        if is_mount:
            subprocess.run(["umount", str(out)], check=True)
        else:
            out.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_in_the_middle(out: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SLOW)
    arguments = ("quantize", "digits_cnn", "--data", f"{tmp_path / 'mine.py'}:slow", "--calib", "8", "--out", out)
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "begun").exists():
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate()
    assert process.returncode == 130
    assert (said, errors) == ("", "interrupted: nothing was left half-written\n")
    assert tree(out) == {"report.json": OLD}


@pytest.mark.parametrize("name", ["parity", "bench"])
def test_folders_that_are_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.int8.onnx").write_bytes(b"")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "report.json").write_text("{")
    is_refused(fxpasses(name, tmp_path / "absent"), "it does not exist")
    is_refused(fxpasses(name, tmp_path / "model.int8.onnx"), "it is a file")
    is_refused(fxpasses(name, tmp_path / "empty"), "no report.json in")
    is_refused(fxpasses(name, tmp_path / "broken"), "report.json")


@pytest.mark.parametrize("damage", ["absent", "empty", "cut short", "swapped"])
@pytest.mark.parametrize("artifact", ["model.int8.pt2", "model.int8.onnx"])
def test_damaged_artifacts(tmp_path: Path, artifact: str, damage: str) -> None:
    folder = copied(quickstart()[0], tmp_path)
    path = folder / artifact
    if damage == "absent":
        path.unlink()
    elif damage == "swapped":
        (folder / "report.html").replace(path)
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else 3000])
    before = tree(folder)
    is_refused(fxpasses("parity", folder, "--images", "8", "--threads", "1"), artifact)
    assert tree(folder) == before


def test_a_pt2_with_code_is_not_run(tmp_path: Path) -> None:
    folder = copied(quickstart()[0], tmp_path)
    canary = tmp_path / "canary"
    torch.save(_Payload(canary), folder / "model.int8.pt2")
    is_refused(fxpasses("parity", folder), "model.int8.pt2")
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x08\x01"])
def test_audit_of_what_is_no_onnx_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    is_refused(fxpasses("audit", tmp_path / "model.onnx"), "model.onnx")
