"""A folder of things that are fetched once: each is made beside its place and renamed, so it is whole or not there.

What an interrupted run left half-made is named after its process; the next run removes it once that process is gone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from fxpasses.errors import InputError

_MARK = ".making-"


class Unavailable(InputError):
    """Something that emulation needs cannot be had on this machine: no registry, no qemu, no compiler."""


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """``folder``, which ``make`` fills if it is not there yet.

    ``make`` is given an empty folder beside it, which becomes ``folder`` if it ends well and is removed if it does not.
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
        if not folder.is_dir():  # otherwise another process was faster, and its folder is as good
            raise


def remove_leftovers(cache: Path) -> list[str]:
    """Remove what processes that are gone left half-made in ``cache``; returns the names of these folders."""
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
    except PermissionError:  # somebody else's
        return True
    return True


def size_bytes(folder: Path) -> int:
    """What the files below ``folder`` take, links not followed."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir() or file.is_symlink())
