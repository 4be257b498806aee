"""The CD image of an emulated PC: what is brought, and under which paths."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from emulation.whole_machine import image
from emulation.whole_machine.guest import ENVIRONMENT
from emulation.whole_machine.image import GUEST, PACKAGES, make_image, own_program, pack


def test_programs_run_with_the_libraries_that_came_with_them() -> None:
    loader, option, libraries, program = own_program(Path("/pc"), "cpio")
    assert (loader, option) == ("/pc/host/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "--library-path")
    assert (libraries, program) == ("/pc/host/usr/lib/x86_64-linux-gnu", "/pc/host/usr/bin/cpio")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have run."""
    found: list[list[str]] = []

    def run(command: Sequence[str], **_: object) -> None:
        found.append(list(command))

    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_what_a_task_reads_has_the_same_path_there(tmp_path: Path, ran: list[list[str]]) -> None:
    program, folder, single = tmp_path / "program.py", tmp_path / "in" / "net", tmp_path / "in" / "x.npz"
    folder.mkdir(parents=True)
    for path in (program, single, folder / "model.onnx"):
        path.write_text(path.name)
    made = tmp_path / "made"
    made.mkdir()
    (tmp_path / "pc").mkdir()
    (tmp_path / "pc" / "isolinux.bin").touch()
    out = tmp_path / "new" / "out.npz"
    package = tmp_path / "ours"
    package.mkdir()
    (package / "__init__.py").write_text("ours")
    found = make_image(tmp_path / "pc", [str(program), "--selftest"], [folder, single], [str(out)], made, [package])
    assert found == made / "machine.iso"
    there = made / "task"
    for path in (program, single, folder / "model.onnx"):
        assert (there / path.relative_to("/")).read_text() == path.name
    assert (there / out.parent.relative_to("/")).is_dir()
    assert [path.name for path in (there / PACKAGES / "ours").iterdir()] == ["__init__.py"]
    assert (there / "init").read_text() == GUEST.read_text() and (there / "init").stat().st_mode & 0o111
    assert json.loads((there / "task.json").read_text()) == {
        "arguments": [str(program), "--selftest"],
        "returned": [str(out)],
    }
    assert "initrd=/root.cpio,/task.cpio" in (made / "isolinux.cfg").read_text()


def test_packages_lie_where_the_guest_looks() -> None:
    assert ENVIRONMENT["PYTHONPATH"] == f"/{PACKAGES}"


@pytest.fixture
def ran_disc(ran: list[list[str]], tmp_path: Path) -> list[str]:
    (tmp_path / "pc").mkdir()
    (tmp_path / "pc" / "isolinux.bin").write_bytes(b"loader")
    (tmp_path / "made").mkdir()
    make_image(tmp_path / "pc", ["job"], [], [], tmp_path / "made")
    return ran[-1]


def test_the_boot_loader_on_the_disc_is_a_copy(ran_disc: list[str], tmp_path: Path) -> None:
    """genisoimage writes a table of places into the loader, which the next task must not find."""
    places = dict(part.split("=") for part in ran_disc if "=" in part)
    copied = Path(places["isolinux/isolinux.bin"])
    assert copied.parent == tmp_path / "made" / "writable" and copied.read_bytes() == b"loader"
    assert places["vmlinuz"] == str(tmp_path / "pc" / "vmlinuz")
    assert places["task.cpio"] == str(tmp_path / "made" / "task.cpio")


@pytest.mark.skipif(shutil.which("cpio") is None, reason="there is no cpio here; the slow run of every CPU has its own")
def test_an_archive_holds_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(image, "own_program", lambda machine, name: [name])
    (tmp_path / "in" / "empty").mkdir(parents=True)
    (tmp_path / "in" / "a file").write_text("text")
    pack(tmp_path, tmp_path / "in", tmp_path / "out.cpio")
    listed = subprocess.run(
        ["cpio", "-t", "--quiet"], stdin=(tmp_path / "out.cpio").open("rb"), capture_output=True, text=True, check=True
    )
    assert sorted(listed.stdout.splitlines()) == ["a file", "empty"]
