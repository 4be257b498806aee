"""CPUs that int8 files are run on, and commands that run a program on each."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fxpasses.cpu import cpu_flags, cpu_name, has_vnni

HERE = "this machine"
X86, ARM = "x86_64", "aarch64"
BOOT = Path(__file__).with_name("whole_machine") / "boot.py"


@dataclass(frozen=True)
class Cpu:
    """One CPU, real or emulated.

    Attributes:
        name: as its emulator spells it.
        architecture: ``"x86_64"`` or ``"aarch64"``.
        about: the int8 kernels that runtimes choose on it.
        saturates: whether onnxruntime's kernels for uint8 x int8 add two products in 16 bits there: those for AVX2 do,
            those for SSE4.1 and for VNNI do not.
        flags: what Linux would list in /proc/cpuinfo, of those that decide on kernels; x86 under qemu only.
        is_booted: whether Bochs emulates it together with a whole PC, because qemu does not know its instructions.
    """

    name: str
    architecture: str
    about: str
    saturates: bool = False
    flags: str = ""
    is_booted: bool = False

    @property
    def folder_name(self) -> str:
        """The name without the signs that separate options of qemu."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower())

    @property
    def is_emulated(self) -> bool:
        return self.name != HERE


_NEHALEM = "fpu cx8 cmov mmx fxsr sse sse2 syscall nx lm pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
EMULATED = (
    Cpu("Nehalem", X86, "SSE4", flags=_NEHALEM),
    Cpu("Haswell", X86, "AVX2", saturates=True, flags=f"{_NEHALEM} movbe aes avx f16c fma bmi1 avx2 bmi2 abm"),
    Cpu("cortex-a72", ARM, "NEON"),
    Cpu("neoverse-n1", ARM, "dot product"),
    Cpu("max,sve=off", ARM, "matrix product"),
    Cpu("max", ARM, "SVE, SME"),
    Cpu("tigerlake", X86, "AVX-512 VNNI", is_booted=True),
    Cpu("arrow_lake", X86, "AVX-VNNI", is_booted=True),
)


def this_machine() -> Cpu:
    """The CPU this program runs on."""
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    flags = cpu_flags()
    vnni = has_vnni(flags)
    saturates = is_x86 and not vnni and ("avx2" in flags or not flags)
    about = f"{cpu_name()}, {'VNNI' if vnni else 'no VNNI'}" if is_x86 else cpu_name()
    return Cpu(HERE, X86 if is_x86 else ARM, about, saturates=saturates)


@dataclass(frozen=True)
class Emulation:
    """Files that emulated CPUs need.

    Attributes:
        qemu: the folder of ``qemu-x86_64`` and ``qemu-aarch64``.
        described: a folder with a root for each x86 CPU, whose /proc/cpuinfo describes it; see :func:`describe_x86`.
        arm_root: the file system of an ARM machine; None if only x86 is emulated.
        arm_python: its interpreter, below ``arm_root``.
        arm_wheels: folders of Python packages, onnxruntime among them.
    """

    qemu: Path
    described: Path | None = None
    arm_root: Path | None = None
    arm_python: str = ""
    arm_wheels: tuple[Path, ...] = ()


@dataclass(frozen=True)
class WholeMachine:
    """A PC that Bochs emulates.

    Attributes:
        folder: filled by :mod:`emulation.whole_machine.fetch_machine`.
        packages: folders of Python packages that programs import there, beside those of its root.
        torch: the version of PyTorch in its root; empty if it has none.
    """

    folder: Path
    packages: tuple[Path, ...] = ()
    torch: str = ""


@dataclass(frozen=True)
class Moved:
    """Files that a program on a PC of its own reads, and files that it writes; elsewhere all programs see all files."""

    brought: tuple[Path, ...] = ()
    returned: tuple[Path, ...] = ()


def describe_x86(folder: Path) -> None:
    """Write a /proc/cpuinfo for each emulated x86 CPU, because qemu shows that of the host to programs."""
    for cpu in EMULATED:
        if cpu.architecture == X86 and not cpu.is_booted:
            (folder / cpu.folder_name / "proc").mkdir(parents=True)
            about = f"processor\t: 0\nmodel name\t: {cpu.name}, emulated by qemu\nflags\t\t: {cpu.flags}\n\n"
            (folder / cpu.folder_name / "proc" / "cpuinfo").write_text(about)


def command_on(
    cpu: Cpu,
    emulation: Emulation | WholeMachine | None,
    arguments: Sequence[str],
    plugin: str | None = None,
    moved: Moved = Moved(),
) -> tuple[list[str], dict[str, str]]:
    """Return the command, and its environment, that runs a Python program on a CPU.

    On x86 it is this interpreter with its packages, on ARM the one of the ARM root, and on a PC of its own that of its
    root.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if not cpu.is_emulated:
        return [sys.executable, *arguments], environment
    if isinstance(emulation, WholeMachine):
        return _boot_command(cpu, emulation, arguments, moved), environment
    assert emulation is not None, "an emulated CPU needs qemu"
    command = [str(emulation.qemu / f"qemu-{cpu.architecture}"), "-cpu", cpu.name]
    command += ["-plugin", plugin] if plugin else []
    if cpu.architecture == X86:
        command += ["-L", str(emulation.described / cpu.folder_name)] if emulation.described else []
        return [*command, sys.executable, *arguments], environment
    assert emulation.arm_root is not None, "an ARM CPU needs an ARM root"
    environment["PYTHONPATH"] = os.pathsep.join(str(wheels) for wheels in emulation.arm_wheels)
    python = str(emulation.arm_root / emulation.arm_python)
    return [*command, "-L", str(emulation.arm_root), python, *arguments], environment


def _boot_command(cpu: Cpu, machine: WholeMachine, arguments: Sequence[str], moved: Moved) -> list[str]:
    command = [sys.executable, str(BOOT), "--machine", str(machine.folder), "--cpu", cpu.name]
    for path in moved.brought:
        command += ["--brought", str(path)]
    for path in machine.packages:
        command += ["--package", str(path)]
    for path in moved.returned:
        command += ["--returned", str(path)]
    return [*command, "--", *arguments]
