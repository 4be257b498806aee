"""Writing files: completely or not at all, with errors that name the remedy."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from staged_files import NEW, OLD, stage, tree

from fxpasses.errors import InputError
from fxpasses.writing import atomic as files
from fxpasses.writing.atomic import (
    atomic_write,
    staged_folder,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)


def mounted(folder: Path, *options: str) -> bool:
    """Whether a tmpfs could be mounted (root only)."""
    if not (sys.platform == "linux" and shutil.which("mount") and os.geteuid() == 0):
        return False
    return subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a real file system of 64 KiB, holding one file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mounted(folder, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        pytest.skip("mounting a small file system is not permitted here")
    (folder / "report.json").write_text(OLD)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that refuses writing, holding one file; root ignores permissions, so for root a read-only mount."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    is_mount = mounted(folder, "-t", "tmpfs", "tmpfs")
    (folder / "report.json").write_text(OLD)
    if is_mount:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        folder.chmod(0o555)
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write to every folder")
    yield folder
    if is_mount:
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(0o755)


def write_then_raise(path: Path, interruption: type[BaseException]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(NEW)
        raise interruption


def fail_with(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every flush to disk fail with this error number."""

    def fsync(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)


def test_writes_text_bytes_and_json(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", "grün\n")
    write_bytes_atomic(tmp_path / "b.bin", memoryview(b"\x00\xff"))
    write_json_atomic(tmp_path / "c.json", {"scale": 0.5, "name": "ö"})
    assert (tmp_path / "a.txt").read_bytes() == "grün\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8")) == {"scale": 0.5, "name": "ö"}
    assert len(list(tmp_path.iterdir())) == 3


def test_nan_is_not_json_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomic(tmp_path / "a.json", {"sqnr_db": float("nan")})
    assert tree(tmp_path) == {}


def test_the_temporary_lies_on_the_disk_of_the_target_and_keeps_its_suffix(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "model.int8.onnx") as temporary:
        assert (temporary.parent.parent, temporary.suffix) == (tmp_path, ".onnx")
        temporary.write_text(NEW)
        assert not (tmp_path / "model.int8.onnx").exists()
    assert tree(tmp_path) == {"model.int8.onnx": NEW}


def test_missing_folders_are_made_and_unmade_on_failure(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a" / "b" / "c.txt", NEW)
    assert tree(tmp_path) == {"a/b/c.txt": NEW}
    with pytest.raises(ZeroDivisionError):
        write_then_raise(tmp_path / "x" / "y" / "z.txt", ZeroDivisionError)
    assert not (tmp_path / "x").exists()


def test_permissions_of_a_replaced_file_and_links_to_it_are_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text(OLD)
    target.chmod(0o640)
    link.symlink_to(target)
    write_text_atomic(link, NEW)
    assert link.is_symlink()
    assert target.read_text() == NEW
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen([sys.executable, "-c", f"print(open({str(pipe)!r}).read())"], stdout=subprocess.PIPE)
    write_text_atomic(pipe, NEW)
    assert reader.communicate(timeout=120)[0].decode().strip() == NEW
    assert pipe.is_fifo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
def test_standard_output_is_a_file_name_like_any_other(tmp_path: Path) -> None:
    code = "print('before', flush=True); from pathlib import Path; from fxpasses.writing.atomic import *"
    code += "; write_text_atomic(Path('/dev/stdout'), 'text\\n'); print('after')"
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    assert piped.stdout.split() == ["before", "text", "after"]
    with (tmp_path / "out").open("a") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text().split() == ["before", "text", "after"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_an_interruption_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    (tmp_path / "a.txt").write_text(OLD)
    with pytest.raises(interruption):
        write_then_raise(tmp_path / "a.txt", interruption)
    assert tree(tmp_path) == {"a.txt": OLD}


def test_a_full_disk(full_disk: Path) -> None:
    with pytest.raises(InputError, match=r"write .*report.json\n  why: the disk is full\n  fix: free some space"):
        write_text_atomic(full_disk / "report.json", "x" * 100_000)
    assert tree(full_disk) == {"report.json": OLD}
    with pytest.raises(InputError, match="the disk is full"):
        stage(full_disk, {"report.json": NEW, "model.onnx": "x" * 100_000})
    assert tree(full_disk) == {"report.json": OLD}


def test_a_file_size_limit(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    (tmp_path / "a.txt").write_text(OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(InputError, match="larger than the file size limit"):
            write_text_atomic(tmp_path / "a.txt", "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree(tmp_path) == {"a.txt": OLD}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_only_when_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    (tmp_path / "a.txt").write_text(OLD)
    fail_with(code, monkeypatch)
    why, fix = files._WRITE_FAILURES[code]
    with pytest.raises(InputError) as caught:
        write_text_atomic(tmp_path / "a.txt", NEW)
    assert (caught.value.why, caught.value.fix) == (why, fix)
    assert tree(tmp_path) == {"a.txt": OLD}


def test_a_read_only_folder(read_only_folder: Path) -> None:
    reason = "the file system is read-only|permission denied"
    with pytest.raises(InputError, match=reason):
        write_text_atomic(read_only_folder / "report.json", NEW)
    with pytest.raises(InputError, match=reason):
        write_text_atomic(read_only_folder / "deeper" / "report.json", NEW)
    with pytest.raises(InputError, match=reason), staged_folder(read_only_folder):
        pytest.fail("a folder that cannot be written was handed out")
    assert tree(read_only_folder) == {"report.json": OLD}


def test_a_file_that_was_made_read_only_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text(OLD)
    monkeypatch.setattr(os, "access", lambda *_: False)  # what a user other than root would be told
    with pytest.raises(InputError, match="permission denied"):
        write_text_atomic(tmp_path / "a.txt", NEW)
    assert tree(tmp_path) == {"a.txt": OLD}


def test_a_folder_or_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text(OLD)
    with pytest.raises(InputError, match="a folder of that name is in the way"):
        write_text_atomic(tmp_path / "folder", NEW)
    with pytest.raises(InputError, match="a part of the path is a file"):
        write_text_atomic(tmp_path / "file" / "report.json", NEW)
    with pytest.raises(InputError, match="a part of the path is a file"), staged_folder(tmp_path / "file"):
        pytest.fail("a file was handed out as a folder")
    with pytest.raises(InputError, match="the name is too long"):
        write_text_atomic(tmp_path / ("a" * 300), NEW)
    assert tree(tmp_path) == {"file": OLD}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_place_that_takes_no_files() -> None:
    with pytest.raises(InputError, match="no file or folder can be made there"):
        write_text_atomic(Path("/proc/report.json"), NEW)


def test_an_error_about_another_file_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), atomic_write(tmp_path / "out" / "a.txt"):
        (tmp_path / "absent").read_text()
    with pytest.raises(FileNotFoundError, match="absent"), staged_folder(tmp_path / "out"):
        (tmp_path / "out" / "absent").read_text()
    with pytest.raises(OSError, match="no such device or address") as caught, atomic_write(tmp_path / "a.txt"):
        raise OSError(errno.ENXIO, "no such device or address")
    assert not isinstance(caught.value, InputError)
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_writes_nothing_is_our_mistake(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nothing was written"), atomic_write(tmp_path / "a.txt"):
        pass
