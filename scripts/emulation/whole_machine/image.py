"""A CD image from which the emulated PC boots: kernel, root, and the files of one task."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

KERNEL, ROOT, BOOT_LOADER = "vmlinuz", "root.cpio", ("isolinux.bin", "ldlinux.c32")
"""Names in the folder of a PC, which :mod:`emulation.whole_machine.fetch_machine` fills."""
LIBRARIES = Path("host", "usr", "lib", "x86_64-linux-gnu")
GUEST = Path(__file__).with_name("guest.py")
PACKAGES = "wheels"
"""Folder of Python packages in the root of the PC."""
_CONFIGURATION = """\
DEFAULT linux
PROMPT 0
LABEL linux
  KERNEL /vmlinuz
  APPEND initrd=/root.cpio,/task.cpio console=ttyS0 quiet loglevel=1 mitigations=off no_timer_check nokaslr panic=-1
"""


def own_program(machine: Path, name: str) -> list[str]:
    """Beginning of a command that runs a program of the PC's folder with the libraries of that folder."""
    libraries = machine / LIBRARIES
    return [
        str(libraries / "ld-linux-x86-64.so.2"),
        "--library-path",
        str(libraries),
        str(machine / "host" / "usr" / "bin" / name),
    ]


def pack(machine: Path, folder: Path, archive: Path) -> None:
    """Write a folder's content as a cpio archive, the form that the kernel unpacks into its root."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    with archive.open("wb") as written:
        command = [*own_program(machine, "cpio"), "--create", "--format=newc", "--quiet", "--null", "--owner=+0:+0"]
        subprocess.run(command, input="\0".join(names).encode(), stdout=written, cwd=folder, check=True)


def make_image(
    machine: Path,
    arguments: Sequence[str],
    brought: Iterable[Path],
    returned: Sequence[str],
    folder: Path,
    packages: Iterable[Path] = (),
) -> Path:
    """Write the image of a task into ``folder``; return its path.

    Args:
        machine: the folder of the PC.
        arguments: a Python program, and its arguments.
        brought: files and folders that the program reads; they have the same paths there. ``arguments`` that are files
            are brought, too.
        returned: files that it writes.
        packages: folders of Python packages that it imports.
    """
    task = folder / "task"
    task.mkdir()
    for path in {*map(os.path.abspath, brought), *(a for a in arguments if Path(a).is_file())}:
        _copy(Path(path), _inside(task, Path(path)))
    for package in packages:
        _copy(package, task / PACKAGES / package.name)
    for path in returned:
        _inside(task, Path(path).parent).mkdir(parents=True, exist_ok=True)
    shutil.copy(GUEST, task / "init")
    (task / "init").chmod(0o755)
    told = {"arguments": list(arguments), "returned": list(returned)}
    (task / "task.json").write_text(json.dumps(told), encoding="utf-8")
    pack(machine, task, folder / "task.cpio")
    (folder / "isolinux.cfg").write_text(_CONFIGURATION)
    places = {name: machine / name for name in (KERNEL, ROOT)}
    places |= {f"isolinux/{name}": machine / name for name in BOOT_LOADER}
    places |= {"task.cpio": folder / "task.cpio", "isolinux/isolinux.cfg": folder / "isolinux.cfg"}
    return _disc(machine, places, folder)


def _inside(root: Path, path: Path) -> Path:
    return root / path.absolute().relative_to("/")


def _copy(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place, dirs_exist_ok=True)
    else:
        shutil.copy(path, place)


def _disc(machine: Path, places: Mapping[str, Path], folder: Path) -> Path:
    """Write a bootable CD image with each file at its place."""
    image = folder / "machine.iso"
    (folder / "writable").mkdir()
    loader = folder / "writable" / BOOT_LOADER[0]  # its table of places on the disc is written into it
    shutil.copy(places[f"isolinux/{BOOT_LOADER[0]}"], loader)
    grafts = [
        f"{name}={loader if name.endswith(BOOT_LOADER[0]) else path}".replace("\\", "\\\\")
        for name, path in places.items()
    ]
    command = [*own_program(machine, "genisoimage"), "-quiet", "-R", "-graft-points", "-o", str(image)]
    command += ["-b", f"isolinux/{BOOT_LOADER[0]}", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4"]
    subprocess.run([*command, "-boot-info-table", *grafts], check=True)
    return image
