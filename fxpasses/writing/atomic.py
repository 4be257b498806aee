"""Write files so that a failure leaves everything as it was.

A file is written under a temporary name beside its target and moved over it at the end (one rename, atomic on every
file system that has it); several files are written into a folder of their own and moved together. An error or Ctrl-C
in the middle removes what was begun. Only SIGKILL or a power cut can leave a temporary folder behind; its name starts
with ``.fxpasses-``, and whoever writes there next removes it (``abandoned.py``).

Give writers written in C++ a buffer, not a path: torch.save and torch.export.save abort the whole process when the
disk is full. ``write_bytes_atomic(path, buffer.getbuffer())`` turns that into an ordinary error.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from .abandoned import PREFIX, READY, clear_abandoned, files_below, temporary_folder

_OTHER_FOLDER = "choose another folder, `out`"
_WRITE_FAILURES = {
    errno.ENOSPC: ("the disk is full", "free some space, or write to another disk"),
    errno.EDQUOT: ("your disk quota is used up", "free some space, or write to another disk"),
    errno.EFBIG: ("it would be larger than the file size limit", "raise the limit (ulimit -f), or write elsewhere"),
    errno.EROFS: ("the file system is read-only", _OTHER_FOLDER),
    errno.EACCES: ("permission denied", "make the folder writable, or choose another"),
    errno.EPERM: ("operation not permitted", "make the folder writable, or choose another"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", _OTHER_FOLDER),
    errno.EISDIR: ("a folder of that name is in the way", "choose another name, or remove the folder"),
    errno.ENOTEMPTY: ("a folder of that name is in the way", "choose another name, or remove the folder"),
    errno.EEXIST: ("a part of the path is a file, not a folder", _OTHER_FOLDER),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name"),
    errno.ENOENT: ("no file or folder can be made there", _OTHER_FOLDER),
    errno.EIO: ("the disk reports an input/output error", "write to another disk"),
}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path (same suffix, same disk) to write to; it becomes ``path`` if the block ends well.

    Missing folders are made, and unmade if it fails. A link is followed; permissions of a file replaced are kept. A
    device or pipe (/dev/stdout) cannot be replaced and is written to instead.

    Raises:
        InputError: the file cannot be written: full disk, read-only folder, a folder or a file in the way.
    """
    target = path if _is_stream(path) else Path(os.path.realpath(path))
    with _explained(target), _folder_made(_home_of_temporary(target)) as folder:
        if target.is_dir():
            raise _unwritable(target, errno.EISDIR)
        if target.exists() and not os.access(target, os.W_OK):
            raise _unwritable(target, errno.EACCES)
        with temporary_folder(folder) as staging:
            temporary = staging / f"new{target.suffix}"
            yield temporary
            assert temporary.exists(), "nothing was written to the temporary path"
            _flush(temporary)
            if _is_stream(target):
                _pour(temporary, target)
            else:
                if target.exists():
                    shutil.copymode(target, temporary)
                temporary.replace(target)


def write_bytes_atomic(path: Path, data: bytes | bytearray | memoryview) -> None:
    """Write ``data`` to ``path``, all or nothing. Raises InputError as :func:`atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomic(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, all or nothing. Raises InputError as :func:`atomic_write`."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_json_atomic(path: Path, document: object) -> None:
    """Write ``document`` as indented JSON, all or nothing; NaN and infinity are refused (they are not JSON).

    Raises:
        InputError: as :func:`atomic_write`.
        ValueError, TypeError: ``document`` is not JSON; a mistake of the caller's code.
    """
    write_text_atomic(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def staged_folder(out_dir: Path) -> Iterator[Path]:
    """A temporary folder to write files to; all are moved into ``out_dir`` if the block ends well, else none.

    Files of the same name are replaced, others left alone. Should a move fail half-way, the files already replaced are
    put back; should the process be killed there, :func:`finish_killed` moves the others. ``out_dir`` is made if
    missing, and unmade if it fails.

    Raises:
        InputError: ``out_dir`` cannot be written, or is a file.
    """
    out_dir = Path(os.path.realpath(out_dir))
    with _explained(out_dir), _folder_made(out_dir), temporary_folder(out_dir) as staging:
        new, ready = staging / "new", staging / READY
        new.mkdir()
        yield new
        for name in files_below(new):
            _flush(new / name)
            if (out_dir / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out_dir / name))
        new.replace(ready)  # from here on, a process that is killed has its moves finished by the next one
        _move_all(ready, out_dir, staging / "old")


def finish_killed(folder: Path) -> None:
    """Have a folder hold one result again, should a process have been killed between the moves of a stage.

    Raises:
        InputError: the folder cannot be written, and holds parts of two results.
    """
    folder = Path(os.path.realpath(folder))
    with _explained(folder):
        clear_abandoned(folder)


def _move_all(new: Path, out_dir: Path, old: Path) -> None:
    """Move the files below ``new`` to ``out_dir``; those they replace go to ``old``, and back if anything fails."""
    begun: list[Path] = []
    try:
        for name in files_below(new):
            begun.append(name)
            (out_dir / name).parent.mkdir(parents=True, exist_ok=True)
            if (out_dir / name).exists():
                (old / name).parent.mkdir(parents=True, exist_ok=True)
                (out_dir / name).replace(old / name)
            (new / name).replace(out_dir / name)
    except BaseException:
        for name in begun:
            if not (new / name).exists():
                (out_dir / name).replace(new / name)
            if (old / name).exists():
                (old / name).replace(out_dir / name)
        raise


@contextmanager
def _folder_made(folder: Path) -> Iterator[Path]:
    """``folder``, made with its parents if missing; what was made is removed again (while empty) if the block fails."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except BaseException:
        for parent in missing:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        raise


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn an OSError from writing ``target`` into an InputError; let every other pass, as that of a file read."""
    try:
        yield
    except OSError as error:
        if error.errno not in _WRITE_FAILURES or not _is_about(error, target):
            raise
        raise _unwritable(target, error.errno) from error


def _is_about(error: OSError, target: Path) -> bool:
    if error.filename is None:  # write() and fsync() know no name
        return error.errno != errno.ENOENT
    if PREFIX in str(error.filename):
        return True
    named = Path(str(error.filename))
    return named in (target, *target.parents) or (error.errno != errno.ENOENT and named.is_relative_to(target))


def _unwritable(path: Path, code: int) -> InputError:
    why, fix = _WRITE_FAILURES[code]
    return InputError(f"cannot write {path}", why=why, fix=fix)


def _home_of_temporary(target: Path) -> Path:
    """The folder for the temporary: beside ``target``, or where any program may write if that is a device or pipe."""
    if not _is_stream(target):
        return target.parent
    import tempfile

    return Path(tempfile.gettempdir())


def _is_stream(target: Path) -> bool:
    """A pipe or device, or this process's own output even where that is redirected to a file."""
    if str(target).startswith(("/dev/std", "/dev/fd/", "/proc/self/fd/")):
        return True
    try:
        kind = stat.S_IFMT(target.stat().st_mode)
    except OSError:  # whatever is wrong with it, writing will say so
        return False
    return kind not in (stat.S_IFREG, stat.S_IFDIR)


def _pour(source: Path, stream: Path) -> None:
    with source.open("rb") as read, stream.open("ab", buffering=0) as written:
        shutil.copyfileobj(read, written)


def _flush(file: Path) -> None:
    """Have the disk take the bytes now: some file systems report that they are full only then."""
    with file.open("rb+") as written:
        os.fsync(written.fileno())
