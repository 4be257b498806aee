"""Fetches the folder of an emulated PC: Bochs with its libraries, a kernel, and a root with Python and onnxruntime."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from emulation.cache import Unavailable, made_once
from emulation.fetching import PYTHON_PACKAGES, python_of
from emulation.packages import RELEASE, run_tool, unpack_debian, unpack_wheels
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
_COMPILE = """\
import compileall, py_compile, sys
root, mode = sys.argv[1], py_compile.PycInvalidationMode.UNCHECKED_HASH
for part in ("usr/lib", "wheels"):
    compileall.compile_dir(f"{root}/{part}", quiet=2, stripdir=root, prependdir="/", invalidation_mode=mode)
"""
"""Program that compiles modules, except those with errors: packages ship files for other versions of Python."""


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
        make_root(folder, RELEASE, lambda python, wheels: unpack_wheels([wanted, "numpy"], python, wheels, "x86_64"))

    return made_once(cache / f"pc-{RELEASE}-{wanted}", make)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise Unavailable(f"no {pattern}", why="Debian's packages hold none", fix="report it with the release's name")
    return found[-1]


def make_root(folder: Path, release: str, unpack: Callable[[str, Path], None]) -> None:
    """Write the archive of a root with a release's Python and the packages that ``unpack`` puts into a folder for it,
    and nothing else.
    """
    root = folder / "root"
    unpack_debian(PYTHON_PACKAGES, "amd64", root, release=release)
    unpack(python_of(root), root / "wheels")
    for unread in ("var", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / unread, ignore_errors=True)
    for name in ("bin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    compile_modules(root)
    pack(folder, root, folder / ROOT)
    shutil.rmtree(root)


def compile_modules(root: Path) -> None:
    """Write the bytecode of all modules of a root, with the root's own Python; else each boot would compile them again,
    on a CPU that is many times slower than this one.
    """
    libraries = [root / part / "x86_64-linux-gnu" for part in ("lib", "usr/lib")]
    loader = [libraries[0] / "ld-linux-x86-64.so.2", "--library-path", ":".join(map(str, libraries))]
    python = [root / "usr" / "bin" / f"python{python_of(root)}", "-S", "-c", _COMPILE, root]
    run_tool([str(part) for part in (*loader, *python)], {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": ""})
