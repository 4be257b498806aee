"""A folder of things that are fetched once: each is made beside its place and renamed, so it is complete or not there.

Unfinished folders of an interrupted run have the number of its process in their names; the next run removes them if the
process has ended.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from fxpasses.errors import InputError

_MARK = ".making-"


class Unavailable(InputError):
    """Something that emulation needs is not available on this machine: no registry, no qemu, no compiler."""


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return ``folder``; if it does not exist yet, ``make`` fills it.

    ``make`` is given an empty folder beside it, which becomes ``folder`` if it succeeds and is removed if it fails.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent)
    making = folder.parent / f"{_MARK}{os.getpid()}-{folder.name}"
    making.mkdir()
    try:
        make(making)
        _put_in_place(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _put_in_place(making: Path, folder: Path) -> None:
    try:
        making.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was faster, and its folder is equally good
            raise


def remove_leftovers(cache: Path) -> list[str]:
    """Remove unfinished folders of ended processes in ``cache``; return the names of these folders."""
    removed = []
    for left in cache.glob(f"{_MARK}*"):
        process = left.name.removeprefix(_MARK).partition("-")[0]
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(left, ignore_errors=True)
            removed.append(left.name)
    return sorted(removed)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process belongs to another user
        return True
    return True


def size_bytes(folder: Path) -> int:
    """Size of the files below ``folder``; links are not followed."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir() or file.is_symlink())
