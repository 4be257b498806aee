"""Stages of killed processes are found, and finished or removed by the next process; those in use stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from staged_files import NEW, OLD, stage, tree

from fxpasses.errors import InputError
from fxpasses.writing.abandoned import clear_abandoned, temporary_folder
from fxpasses.writing.atomic import finish_killed, staged_folder, write_text_atomic

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")

RENAMES = 6
"""Number of renames of a stage that replaces two files and adds one: its own, and five of files."""
DIES_AT_A_RENAME = """
import os, sys
from pathlib import Path
from fxpasses.writing.atomic import staged_folder

left, replace = int(sys.argv[2]), Path.replace

def counted(self, target):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    return replace(self, target)

Path.replace = counted
with staged_folder(Path(sys.argv[1])) as new:
    for name in ("a.txt", "b.txt", "c.txt"):
        (new / name).write_text("new")
"""
OLD_RESULT, NEW_RESULT = {"a.txt": OLD, "c.txt": OLD}, dict.fromkeys(("a.txt", "b.txt", "c.txt"), NEW)


def killed_at(folder: Path, rename: int) -> None:
    """Kill a process in the middle of replacing the files of a folder."""
    for name, text in OLD_RESULT.items():
        (folder / name).write_text(text)
    done = subprocess.run([sys.executable, "-c", DIES_AT_A_RENAME, str(folder), str(rename)], check=False)
    assert done.returncode == 9
    assert any(name.startswith(".fxpasses-") for name in tree(folder))


@pytest.mark.parametrize("rename", range(RENAMES))
def test_a_folder_holds_the_old_or_the_new_result_wherever_a_process_is_killed(tmp_path: Path, rename: int) -> None:
    killed_at(tmp_path, rename)
    finish_killed(tmp_path)
    assert tree(tmp_path) == (NEW_RESULT if rename else OLD_RESULT)


def test_whoever_writes_next_clears_away(tmp_path: Path) -> None:
    for rename in (0, 3):
        killed_at(tmp_path, rename)
        write_text_atomic(tmp_path / "d.txt", NEW)
        assert tree(tmp_path) == (NEW_RESULT if rename else OLD_RESULT) | {"d.txt": NEW}
    killed_at(tmp_path, 3)
    stage(tmp_path, {"c.txt": "newer"})
    assert tree(tmp_path) == NEW_RESULT | {"c.txt": "newer", "d.txt": NEW}


def test_what_the_living_hold_stays(tmp_path: Path) -> None:
    with staged_folder(tmp_path) as first:
        (first / "a.txt").write_text(OLD)
        stage(tmp_path, {"a.txt": NEW})
        assert tree(tmp_path)["a.txt"] == NEW
        assert (first / "a.txt").read_text() == OLD
    assert tree(tmp_path) == {"a.txt": OLD}


def test_links_and_files_of_such_a_name_stay(tmp_path: Path) -> None:
    """A folder from a stranger may hold them: nothing outside it is moved or removed."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (outside / "ready").mkdir(parents=True)
    (outside / "ready" / "a.txt").write_text(OLD)
    folder.mkdir()
    (folder / ".fxpasses-1").symlink_to(outside)
    (folder / ".fxpasses-2").write_text(OLD)
    (folder / ".fxpasses-3").mkdir()
    (folder / ".fxpasses-3" / "ready").symlink_to(outside / "ready")
    finish_killed(folder)
    assert tree(outside) == {"ready/a.txt": OLD}
    assert sorted(entry.name for entry in folder.iterdir()) == [".fxpasses-1", ".fxpasses-2"]


def test_a_link_leads_no_move_out_of_the_folder(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    (folder / ".fxpasses-1" / "ready" / "sub").mkdir(parents=True)
    (folder / ".fxpasses-1" / "ready" / "sub" / "a.txt").write_text(NEW)
    (folder / "sub").symlink_to(outside)
    finish_killed(folder)
    assert tree(outside) == {}


def test_the_folders_of_other_users_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".fxpasses-1").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    clear_abandoned(tmp_path)
    assert (tmp_path / ".fxpasses-1").is_dir()


def test_a_folder_that_holds_two_results_and_cannot_be_written(tmp_path: Path) -> None:
    killed_at(tmp_path, 3)
    (tmp_path / "c.txt").unlink()
    (tmp_path / "c.txt").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*\n  why: a folder of that name is in the way\n  fix: choose"):
        finish_killed(tmp_path)
    (tmp_path / "c.txt").rmdir()  # the remedy
    finish_killed(tmp_path)
    assert tree(tmp_path) == NEW_RESULT


def test_ctrl_c_while_a_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove, presses = shutil.rmtree, [KeyboardInterrupt]

    def interrupted(folder: Path, ignore_errors: bool) -> None:
        if presses:
            raise presses.pop()
        remove(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path) as folder:
        (folder / "a.txt").write_text(NEW)
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_that_was_taken_for_abandoned_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may come between the making and the lock."""
    opened, remaining = os.open, [True]

    def cleared_before(path: Path, flags: int) -> int:
        if remaining:
            remaining.clear()
            Path(path).rmdir()
        return opened(path, flags)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", cleared_before)
        with temporary_folder(tmp_path) as folder:
            patched.undo()
            clear_abandoned(tmp_path)
            assert folder.is_dir()
