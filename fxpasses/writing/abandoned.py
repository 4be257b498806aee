"""Temporary folders of dead processes: the next process finds and removes them; a live process holds a lock on its own.

A killed process does not clean up. The next process that writes to the same place finds the folder by its prefix, sees
that nobody holds its lock, and removes it. A folder that contains ``ready`` belonged to a process killed between the
first and the last of its moves: these are finished, so that no mixture of two results remains.

On file systems without locks, and on Windows, no folder counts as abandoned.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".fxpasses-"
READY = "ready"
"""Name in a temporary folder of the folder with complete files, which belong one level higher."""


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder in ``parent``, held by this process and removed at the end of the block."""
    clear_abandoned(parent)
    folder, lock = parent / f"{PREFIX}{secrets.token_hex(4)}", None
    try:
        lock = _made_and_locked(folder)
        yield folder
    finally:
        remove(folder)
        if lock is not None:
            os.close(lock)


def clear_abandoned(parent: Path) -> None:
    """Finish the moves of dead processes and remove their folders, but not those of live processes or other users.

    Raises:
        OSError: moves cannot be finished.
    """
    for folder in sorted(parent.glob(f"{PREFIX}*")):
        with _locked_if_abandoned(folder) as is_abandoned:
            if is_abandoned:
                _finish_moves(folder / READY, parent)
                remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder with its contents, even if Ctrl-C is pressed meanwhile."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def files_below(folder: Path) -> list[Path]:
    """The files below a folder, relative to it, sorted; links to folders are not followed."""
    found = [Path(root, name) for root, _, names in os.walk(folder) for name in names]
    return sorted(file.relative_to(folder) for file in found)


def _finish_moves(ready: Path, parent: Path) -> None:
    if ready.is_symlink() or not ready.is_dir():
        return
    for name in files_below(ready):
        target = parent / name
        if target.parent.resolve() != parent.resolve() / name.parent:
            continue  # a link leads out of the folder: none of ours
        target.parent.mkdir(parents=True, exist_ok=True)
        (ready / name).replace(target)


def _made_and_locked(folder: Path) -> int | None:
    """Make the folder and lock it; None on systems without locks.

    Between the two another process may remove the folder as abandoned; then it is made again.
    """
    while True:
        folder.mkdir()
        if sys.platform == "win32":
            return None
        import fcntl

        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            os.close(lock)
            return None
        if folder.exists():
            return lock
        os.close(lock)


@contextmanager
def _locked_if_abandoned(folder: Path) -> Iterator[bool]:
    """Whether a folder belongs to this user and no process holds it; if so, this process holds it during the block."""
    if sys.platform == "win32":
        yield False
        return
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # a file, a link, somebody else's, or removed by now
        yield False
        return
    try:
        yield os.fstat(lock).st_uid == os.geteuid() and _is_locked_now(lock)
    finally:
        os.close(lock)


def _is_locked_now(lock: int) -> bool:
    """Lock it without waiting; False if another process holds it, or on a file system without locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
