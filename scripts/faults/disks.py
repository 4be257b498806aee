"""Disks that become full: a small file system if this user may mount one, else a limit on file sizes.

On the small file system (tmpfs, for root) a file beside the result fills the space that is to be missing: every write,
also from C++, meets a really full disk. ``RLIMIT_FSIZE`` makes the writes of the child fail in the same way, but with
another error (EFBIG), and it never stops the creation of folders or names.
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
    """A folder that can be made full."""

    folder: Path
    is_mounted: bool

    def leave(self, free_bytes: int) -> None:
        """Leave this much space, or up to a block less; to be called in the child if the disk is no mount."""
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
        """Free all space."""
        (self.folder / _FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Provide a disk in ``folder``, which must be empty."""
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
