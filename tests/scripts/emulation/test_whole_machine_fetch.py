"""The folder of an emulated PC: its parts, fetched once, and an error for packages without them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from emulation.cache import Unavailable
from emulation.whole_machine import fetch_machine as fetching
from emulation.whole_machine.fetch_machine import HOST_PACKAGES, PROGRAMS, compile_modules, fetch_machine
from emulation.whole_machine.image import BOOT_LOADER, KERNEL, LIBRARIES, ROOT

PARTS = (
    *("usr/share/bochs/BIOS-bochs-latest", "usr/share/vgabios/vgabios.bin", "usr/lib/ISOLINUX/isolinux.bin"),
    *("usr/lib/syslinux/modules/bios/ldlinux.c32", "usr/lib/x86_64-linux-gnu/libc.so.6"),
    *(f"usr/bin/{name}" for name in PROGRAMS),
    *("usr/share/doc/big", "usr/bin/other"),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for apt, pip and cpio; returns what was asked of them."""
    found: list[str] = []

    def debian(packages: Sequence[str], architecture: str, folder: Path, release: str = "") -> None:
        found.append(f"{packages[0]}:{architecture}")
        is_host = packages == HOST_PACKAGES
        for name in (*PARTS, "boot/vmlinuz-6.1", "boot/vmlinuz-6.12") if is_host else ("usr/bin/python3.13", "var/x"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)

    def wheels(requirements: Sequence[str], python: str, folder: Path, architecture: str) -> None:
        found.append(f"{requirements[0].partition('==')[0]} for {python} on {architecture}")
        folder.mkdir()

    def compiled(root: Path) -> None:
        found.append(f"bytecode of {', '.join(sorted(path.name for path in root.iterdir()))}")

    def pack(machine: Path, folder: Path, archive: Path) -> None:
        archive.write_text(" ".join(sorted(path.name for path in folder.iterdir())))

    monkeypatch.setattr(fetching, "unpack_debian", debian)
    monkeypatch.setattr(fetching, "unpack_wheels", wheels)
    monkeypatch.setattr(fetching, "compile_modules", compiled)
    monkeypatch.setattr(fetching, "pack", pack)
    return found


def test_all_parts_are_there_and_fetched_once(asked: list[str], tmp_path: Path) -> None:
    machine = fetch_machine(tmp_path)
    assert asked[:3] == ["bochs:amd64", "python3-minimal:amd64", "onnxruntime for 3.13 on x86_64"]
    assert asked[3:] == ["bytecode of bin, lib, lib64, usr, wheels"]
    assert sorted(path.name for path in machine.iterdir()) == sorted(
        ["BIOS", "VGABIOS", *BOOT_LOADER, KERNEL, ROOT, "host"]
    )
    assert (machine / KERNEL).read_text() == "boot/vmlinuz-6.12"
    assert (machine / ROOT).read_text() == "bin lib lib64 usr wheels"
    assert (machine / LIBRARIES / "libc.so.6").exists() and not (machine / "host" / "usr" / "share").exists()
    assert sorted(path.name for path in (machine / "host" / "usr" / "bin").iterdir()) == sorted(PROGRAMS)
    assert fetch_machine(tmp_path) == machine and len(asked) == 4


def test_bytecode_is_written_for_the_paths_of_the_pc(tmp_path: Path) -> None:
    """Compile with this interpreter in place of the root's: a loader that starts the program after its two options."""
    for name, text in {"wheels/good.py": "here = __file__\n1 / 0", "usr/lib/bad.py": "print 1"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    loader = tmp_path / "lib" / "x86_64-linux-gnu" / "ld-linux-x86-64.so.2"
    python = tmp_path / "usr" / "bin" / "python3.13"
    for path, script in {loader: 'shift 2; exec "$@"', python: f'unset PYTHONHOME; exec {sys.executable} "$@"'}.items():
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    compile_modules(tmp_path)
    (found,) = tmp_path.rglob("*.pyc")
    assert b"/wheels/good.py" in found.read_bytes() and str(tmp_path).encode() not in found.read_bytes()


def test_packages_without_a_part_leave_nothing(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fetching._FILES, KERNEL, "boot/zImage")
    with pytest.raises(Unavailable, match="no boot/zImage"):
        fetch_machine(tmp_path)
    assert asked == ["bochs:amd64"] and not list(tmp_path.iterdir())
