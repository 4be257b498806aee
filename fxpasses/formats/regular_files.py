"""Only regular files are read: reading a pipe may wait for ever, reading a device may never end."""

from __future__ import annotations

import stat
from pathlib import Path

from fxpasses.errors import InputError


def why_not_regular(path: Path) -> str | None:
    """Reason why a path is no file that can be read; None for a regular file, or a link to one."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except ValueError as error:
        return str(error)  # a null byte
    except OSError as error:
        return error.strerror or str(error)
    if stat.S_ISDIR(mode):
        return "it is a folder"
    return None if stat.S_ISREG(mode) else "it is a pipe, a socket or a device, and only files are read"


def require_regular(path: Path, fix: str) -> None:
    """Raise InputError unless the path is a file that can be read to its end."""
    why = why_not_regular(path)
    if why:
        raise InputError(f"cannot open {path}", why=why, fix=fix)
