"""Fetches files that emulated CPUs need: qemu 10, an ARM root with Python, wheels for it, and a qemu that counts.

There are two versions of qemu: Debian links the newer ones statically, without plugins, so instructions are counted
under 7.2. That version shows ARM programs the x86 host's /proc/cpuinfo and /sys, and onnxruntime crashes on these. Each
ARM CPU therefore gets its own root for counting, with the description of the CPU by qemu 10.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import fxpasses
from emulation.cache import Unavailable, made_once
from emulation.cpus import ARM, EMULATED, Cpu, Emulation, command_on
from emulation.packages import COUNTING_RELEASE, RELEASE, run_tool, unpack_debian, unpack_wheels

PYTHON_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libgomp1", "libstdc++6")
ARM_TORCH = "2.10.0"
"""Version of PyTorch for ARM: the last release whose aarch64 wheel in the registry is a CPU build."""
TORCH_NEEDS = ("typing_extensions", "sympy", "networkx", "jinja2", "filelock", "fsspec", "setuptools", "numpy")
"""Packages that torch needs, named one by one: pip would read torch's list for this machine, and
fetch CUDA libraries.
"""
COUNTER = Path(__file__).with_name("instructions.c")
PLUGIN = "instructions.so"
_QEMU = ("qemu-x86_64", "qemu-aarch64")
_START = """\
#!/bin/sh
lib=$(dirname "$0")/lib
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$lib/qemu-aarch64" "$@"
"""


def fetch_qemu(cache: Path) -> Path:
    """Fetch the folder of qemu 10's programs."""

    def make(folder: Path) -> None:
        unpack_debian(["qemu-user"], "amd64", folder / "all", release=RELEASE)
        for name in _QEMU:
            (folder / "all" / "usr" / "bin" / name).rename(folder / name)
        shutil.rmtree(folder / "all")

    return made_once(cache / f"qemu-{RELEASE}", make)


def fetch_arm_root(cache: Path) -> Path:
    """Fetch the file system of an ARM machine with Python, unpacked but not configured."""

    def make(folder: Path) -> None:
        unpack_debian(PYTHON_PACKAGES, "arm64", folder, release=RELEASE)
        for name in ("bin", "lib"):
            if not (folder / name).exists():
                (folder / name).symlink_to(f"usr/{name}")

    return made_once(cache / f"arm-root-{RELEASE}", make)


def python_of(root: Path) -> str:
    """Version of Python below the root: ``"3.13"``."""
    found = sorted((root / "usr" / "bin").glob("python3.*[0-9]"))
    if not found:
        raise Unavailable(f"no Python in {root}", why="its packages hold none", fix=f"remove {root} and run again")
    return found[0].name.removeprefix("python")


def fetch_emulation(cache: Path) -> Emulation:
    """Fetch all files that onnxruntime needs on every emulated CPU."""
    qemu, root = fetch_qemu(cache), fetch_arm_root(cache)
    python = python_of(root)
    wanted = f"onnxruntime=={version('onnxruntime')}"
    wheels = made_once(cache / f"arm-{wanted}", lambda folder: unpack_wheels([wanted, "numpy"], python, folder))
    return Emulation(qemu, arm_root=root, arm_python=f"usr/bin/python{python}", arm_wheels=(wheels,))


def fetch_torch(cache: Path, emulation: Emulation) -> Emulation:
    """Replace onnxruntime by PyTorch for ARM in an emulation."""
    assert emulation.arm_root is not None
    python = python_of(emulation.arm_root)
    wanted = f"torch=={ARM_TORCH}"

    def make(folder: Path) -> None:
        unpack_wheels(["--no-deps", wanted], python, folder / "torch")
        unpack_wheels(TORCH_NEEDS, python, folder / "needs")
        shutil.rmtree(folder / "torch" / "torch" / "include", ignore_errors=True)

    folder = made_once(cache / f"arm-{wanted}", make)
    return replace(emulation, arm_wheels=(folder / "torch", folder / "needs"))


def with_project(emulation: Emulation, folder: Path) -> Emulation:
    """Add this project's own code to an emulation; ``folder`` gets a link to it, without other installed packages."""
    folder.mkdir(parents=True)
    (folder / "fxpasses").symlink_to(Path(fxpasses.__file__).parent)
    return replace(emulation, arm_wheels=(folder, *emulation.arm_wheels))


def fetch_counting(cache: Path, emulation: Emulation) -> dict[str, Emulation]:
    """Emulation with counted instructions for each ARM CPU, by name: a qemu with plugins, and a root that describes the
    CPU.
    """
    qemu = made_once(cache / f"qemu-{COUNTING_RELEASE}", _make_counting_qemu)
    counting = {}
    for cpu in EMULATED:
        if cpu.architecture == ARM:
            root = made_once(cache / f"described-{cpu.folder_name}", partial(_describe, cpu, emulation))
            counting[cpu.name] = replace(emulation, qemu=qemu, arm_root=root)
    return counting


def _make_counting_qemu(folder: Path) -> None:
    """Unpack qemu 7.2 with its libraries and its plugin; it is started through its own loader."""
    unpack_debian(["qemu-user"], "amd64", folder / "all", release=COUNTING_RELEASE)
    (folder / "lib").mkdir()
    for part in ("lib", "lib64", "usr/lib"):
        for file in (folder / "all" / part).glob("**/*.so*"):
            if file.parent.name in ("x86_64-linux-gnu", "lib64"):
                shutil.move(file, folder / "lib" / file.name)
    (folder / "all" / "usr" / "bin" / "qemu-aarch64").rename(folder / "lib" / "qemu-aarch64")
    shutil.rmtree(folder / "all")
    start = folder / "qemu-aarch64"
    start.write_text(_START)
    start.chmod(0o755)
    plugin = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(folder / PLUGIN), str(COUNTER)]
    run_tool(plugin)


def _describe(cpu: Cpu, emulation: Emulation, folder: Path) -> None:
    """Make an ARM root whose /proc and /sys describe this CPU alone."""
    assert emulation.arm_root is not None
    show = "print(open('/proc/cpuinfo').read().split('\\n\\n')[0])"
    command, environment = command_on(cpu, emulation, ["-c", show])
    described = run_tool(command, environment)
    (folder / "proc").mkdir()
    (folder / "proc" / "cpuinfo").write_text(described + "\n")
    listed = folder / "sys" / "devices" / "system" / "cpu"
    listed.mkdir(parents=True)
    for name in ("possible", "present", "online"):
        (listed / name).write_text("0\n")
    for part in emulation.arm_root.iterdir():
        (folder / part.name).symlink_to(part)
