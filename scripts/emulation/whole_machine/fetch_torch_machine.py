"""Fetches the folder of an emulated PC with PyTorch: the parts of the plain one, and a root of its own.

The wheels of PyTorch for x86 in the Python registry want CUDA's libraries beside them, so this is the CPU build, of
another version and for another Python than this machine's.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import fxpasses
from emulation.cache import Unavailable, made_once
from emulation.cpus import WholeMachine
from emulation.fetching import TORCH_NEEDS
from emulation.packages import COUNTING_RELEASE, unpack_wheels
from emulation.whole_machine.fetch_machine import fetch_machine, make_root
from emulation.whole_machine.image import ROOT

TORCH = "2.13.0+cpu"
TORCH_RELEASE = COUNTING_RELEASE
"""Release of Debian whose Python the root has: 3.11."""
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
"""Index of CPU builds, for machines whose pip finds none by itself."""
UNREAD = ("bin/test_*", "bin/protoc*", "include", "share", "test", "lib/*.a")
"""Parts of PyTorch's folder that no program here reads: a third of its size, all of which would be loaded at boot. Its
import looks for ``bin/torch_shm_manager``.
"""


def fetch_torch_machine(cache: Path) -> WholeMachine:
    """Fetch a PC with PyTorch and this project's own code, without onnxruntime.

    Raises:
        Unavailable: there is no apt, no pip, or no mirror that has these packages.
    """
    plain = fetch_machine(cache)

    def make(folder: Path) -> None:
        shutil.copytree(plain, folder, symlinks=True, ignore=shutil.ignore_patterns(ROOT), dirs_exist_ok=True)
        make_root(folder, TORCH_RELEASE, _unpack)

    folder = made_once(cache / f"pc-{TORCH_RELEASE}-torch=={TORCH}", make)
    return WholeMachine(folder, packages=(Path(fxpasses.__file__).parent,), torch=TORCH)


def _unpack(python: str, wheels: Path) -> None:
    _unpack_cpu_build([f"torch=={TORCH}"], python, wheels)
    for unread in UNREAD:
        for path in (wheels / "torch").glob(unread):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # pip replaces folders in --target, so what both sets of wheels have would be lost: each gets a folder of its own
    needs = wheels.with_name("needs")
    unpack_wheels(TORCH_NEEDS, python, needs, "x86_64")
    shutil.copytree(needs, wheels, dirs_exist_ok=True)
    shutil.rmtree(needs)


def _unpack_cpu_build(wanted: Sequence[str], python: str, wheels: Path) -> None:
    """Unpack CPU builds: those that pip knows, else those of the index of CPU builds."""
    try:
        unpack_wheels(["--no-deps", *wanted], python, wheels, "x86_64")
    except Unavailable:
        unpack_wheels(["--no-deps", f"--extra-index-url={CPU_BUILDS}", *wanted], python, wheels, "x86_64")
