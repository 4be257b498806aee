"""Fetches the folder of an emulated PC: Bochs with its libraries, a kernel, and a root with Python and onnxruntime."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from emulation.cache import Unavailable, made_once
from emulation.fetching import PYTHON_PACKAGES, python_of
from emulation.packages import RELEASE, unpack_debian, unpack_wheels
from emulation.whole_machine.image import BOOT_LOADER, KERNEL, LIBRARIES, ROOT, pack

HOST_PACKAGES = (
    *("bochs", "bochs-term", "bochsbios", "vgabios"),
    *("isolinux", "syslinux-common", "genisoimage", "cpio", "linux-image-cloud-amd64"),
)
PROGRAMS = ("bochs-bin", "genisoimage", "cpio")
_FILES = {
    "BIOS": "usr/share/bochs/BIOS-bochs-latest",
    "VGABIOS": "usr/share/vgabios/vgabios.bin",
    BOOT_LOADER[0]: "usr/lib/ISOLINUX/isolinux.bin",
    BOOT_LOADER[1]: "usr/lib/syslinux/modules/bios/ldlinux.c32",
    KERNEL: "boot/vmlinuz-*",
}
"""Files of the PC's folder, and where the packages have them."""


def fetch_machine(cache: Path) -> Path:
    """Fetch the folder of a PC.

    Raises:
        Unavailable: there is no apt, no pip, or no mirror that has these packages.
    """
    wanted = f"onnxruntime=={version('onnxruntime')}"

    def make(folder: Path) -> None:
        unpack_debian(HOST_PACKAGES, "amd64", folder / "all", release=RELEASE)
        for name, pattern in _FILES.items():
            _only(folder / "all", pattern).rename(folder / name)
        for kept in (LIBRARIES.relative_to("host"), *(Path("usr", "bin", name) for name in PROGRAMS)):
            (folder / "host" / kept).parent.mkdir(parents=True, exist_ok=True)
            _only(folder / "all", str(kept)).rename(folder / "host" / kept)
        shutil.rmtree(folder / "all")
        _make_root(folder, wanted)

    return made_once(cache / f"pc-{RELEASE}-{wanted}", make)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise Unavailable(f"no {pattern}", why="Debian's packages hold none", fix="report it with the release's name")
    return found[-1]


def _make_root(folder: Path, wanted: str) -> None:
    """Write the archive of a root with Python, onnxruntime and nothing else."""
    root = folder / "root"
    unpack_debian(PYTHON_PACKAGES, "amd64", root, release=RELEASE)
    unpack_wheels([wanted, "numpy"], python_of(root), root / "wheels", "x86_64")
    for unread in ("var", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / unread, ignore_errors=True)
    for name in ("bin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    pack(folder, root, folder / ROOT)
    shutil.rmtree(root)
