"""The CPU of this process: its name, its architecture, and the instruction sets that int8 kernels depend on.

Imports nothing heavy and takes a few milliseconds. Facts that the system does not provide are empty, never guessed.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

_X86_FLAGS = ("sse4_2", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")
_ARM_FLAGS = ("neon", "asimd", "asimddp", "i8mm", "sve", "sve2")
RELEVANT_FLAGS = _X86_FLAGS + _ARM_FLAGS
"""Instruction sets that int8 kernels are chosen by, with their names on Linux."""

_VNNI_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8")
_MACOS_FLAGS = {
    "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512vnni": "avx512_vnni",
    "hw.optional.neon": "neon",
    "hw.optional.arm.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
}
_TOOL_TIMEOUT_S = 5.0


def cpu_name() -> str:
    """The marketing name of the CPU, else its architecture."""
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware", "cpu model") and value.strip():
            return value.strip()
    return tool_answer("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def cpu_flags() -> tuple[str, ...]:
    """The flags of ``RELEVANT_FLAGS`` that this CPU has; empty if the system does not provide them."""
    found: set[str] = set()
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            found.update(value.split())
    if not found and platform.system() == "Darwin":
        found = {flag for name, flag in _MACOS_FLAGS.items() if tool_answer("sysctl", "-n", name) == "1"}
    if "avxvnni" in found:  # the name in older Linux kernels
        found.add("avx_vnni")
    return tuple(flag for flag in RELEVANT_FLAGS if flag in found)


def is_x86() -> bool:
    """Whether this process runs x86 code, 32 or 64 bits, possibly on an emulated CPU."""
    return platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")


def is_arm() -> bool:
    """Whether this process runs 64-bit ARM code."""
    return platform.machine().lower() in ("aarch64", "arm64")


def has_vnni(flags: tuple[str, ...]) -> bool:
    """Whether an x86 CPU sums int8 products in 32 bits, without saturating: by VNNI or AMX."""
    return any(flag in flags for flag in _VNNI_FLAGS)


def tool_answer(*command: str) -> str | None:
    """First line of output of a system tool; None if the tool is absent, fails or takes longer than five seconds."""
    tool = shutil.which(command[0])
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, *command[1:]], capture_output=True, text=True, timeout=_TOOL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else None


def _cpuinfo() -> list[str]:
    """The lines of /proc/cpuinfo; empty if it does not exist."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()
