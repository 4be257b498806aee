"""The machine and the software a number was measured on: the ``environment`` key of report.json.

Imports none of the packages it reports; takes a few milliseconds. What cannot be read on a system is ``None`` or
empty, never a guess.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "onnxscript", "fxpasses")
_X86_FLAGS = ("sse4_2", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")
_ARM_FLAGS = ("neon", "asimd", "asimddp", "i8mm", "sve", "sve2")
RELEVANT_FLAGS = _X86_FLAGS + _ARM_FLAGS
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


def environment() -> dict[str, object]:
    """CPU, its flags that matter to int8, memory, GPU, versions, threads and system, ready for JSON."""
    memory = ram_bytes()
    return {
        "cpu": cpu_name(),
        "flags": list(cpu_flags()),
        "ram": "unknown" if memory is None else f"{memory / 2**30:.1f} GiB",
        "ram_bytes": memory,
        "gpu": gpu_name(),
        "versions": versions(),
        "threads": usable_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def versions() -> dict[str, str | None]:
    """The installed version of python and of each package that can change a number; None where it is not installed."""
    return {"python": platform.python_version()} | {name: installed_version(name) for name in PACKAGES}


def installed_version(package: str) -> str | None:
    """The version of an installed distribution, without importing it; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def usable_threads() -> int:
    """The logical CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ram_bytes() -> int | None:
    """The machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no sysconf on Windows
        return None


def cpu_name() -> str:
    """The marketing name of the CPU, else its architecture."""
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware", "cpu model") and value.strip():
            return value.strip()
    return _first_line("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def cpu_flags() -> tuple[str, ...]:
    """Those of ``RELEVANT_FLAGS`` this CPU has, under Linux's names; empty where the system does not tell."""
    found: set[str] = set()
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            found.update(value.split())
    if not found and platform.system() == "Darwin":
        found = {flag for name, flag in _MACOS_FLAGS.items() if _first_line("sysctl", "-n", name) == "1"}
    if "avxvnni" in found:  # as older kernels spell it
        found.add("avx_vnni")
    return tuple(flag for flag in RELEVANT_FLAGS if flag in found)


def gpu_name() -> str | None:
    """The first NVIDIA GPU's name, or None."""
    for described in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return _first_line("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")


def is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")


def is_arm() -> bool:
    return platform.machine().lower() in ("aarch64", "arm64")


def why_unsuited(target: str) -> str | None:
    """Why this machine does not run a model made for ``target`` as intended; None if it does, or cannot be told.

    An unknown target is not an error: a file may come from a newer version.
    """
    flags = cpu_flags()
    if target in ("x86", "x86-avx2"):
        return _why_unsuited_x86(target, flags)
    if target == "arm" and not is_arm():
        return f"made for ARM; on {platform.machine()} its logits may differ by a level, and its speed says nothing"
    if target == "arm" and flags and "asimddp" not in flags:
        return "this ARM CPU has no dot product instructions (asimddp): int8 runs, but gains little speed"
    if target == "cuda" and gpu_name() is None:
        return "no NVIDIA GPU was found"
    return None


def _why_unsuited_x86(target: str, flags: tuple[str, ...]) -> str | None:
    if not is_x86():
        return f"made for x86; on {platform.machine()} its logits may differ by a level"
    if not flags:
        return None
    if "avx2" not in flags:
        return "this CPU has no AVX2: int8 runs on slow kernels"
    if target == "x86" and not has_vnni(flags):
        return (
            "this CPU has neither VNNI nor AMX: pairs of full 8-bit products saturate at 16 bits, which costs up to "
            "7 points of accuracy; make the model with --target x86-avx2"
        )
    return None


def has_vnni(flags: tuple[str, ...]) -> bool:
    """Whether int8 products are summed in 32 bits, without saturating."""
    return any(flag in flags for flag in ("avx512_vnni", "avx_vnni", "amx_int8"))


def _cpuinfo() -> list[str]:
    """The lines that describe the first CPU; empty where there is no /proc."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()


def _first_line(*command: str) -> str | None:
    """What a system tool says, or None if it is absent, fails or hangs."""
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
