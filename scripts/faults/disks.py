"""Disks that become full: a small file system of its own where this user may mount one, else a limit on file sizes.

On the small file system (tmpfs, for root) a file beside the result takes all the room that is to be missing: every
write meets a really full disk, whoever writes, C++ included. ``RLIMIT_FSIZE`` fails the writes of the child in the same
way, but with another error (EFBIG), and never those that make folders or names.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE_BYTES = 8 << 20
_FILLER = "filler"


@dataclass(frozen=True)
class Disk:
    """A folder, and how it becomes full."""

    folder: Path
    is_mounted: bool

    def leave(self, free_bytes: int) -> None:
        """Leave so much room, or up to a block less; to be called in the child where the disk is no mount."""
        if not self.is_mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, resource.RLIM_INFINITY))
            return
        handle = os.open(self.folder / _FILLER, os.O_WRONLY | os.O_CREAT)
        try:
            room = shutil.disk_usage(self.folder).free - free_bytes
            block = bytes(4096)
            for _ in range(-(-room // len(block))):  # rather a block too many: small files need but one
                os.write(handle, block)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(handle)

    def free(self) -> None:
        """Give all room back."""
        (self.folder / _FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk in ``folder``, which must be empty."""
    is_mounted = _can_mount() and _mount(folder)
    try:
        yield Disk(folder, is_mounted)
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


def _can_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None


def _mount(folder: Path) -> bool:
    line = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)]
    return subprocess.run(line, capture_output=True, check=False).returncode == 0
