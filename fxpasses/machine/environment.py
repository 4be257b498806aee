"""The machine and the software of a measurement: the ``environment`` key of report.json.

Imports none of the packages it reports; takes a few milliseconds. Values that cannot be read on a system are ``None``
or empty, never guessed.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fxpasses.cpu import cpu_flags, cpu_name, has_vnni, is_arm, is_x86, tool_answer

PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "onnxscript", "fxpasses")


def environment() -> dict[str, object]:
    """CPU, its flags that matter for int8, memory, GPU, versions, threads and system, ready for JSON."""
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
    """The versions of python and of each package that can change a number; None for one that is not installed."""
    return {"python": platform.python_version()} | {name: installed_version(name) for name in PACKAGES}


def installed_version(package: str) -> str | None:
    """The version of an installed distribution, without importing it; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def usable_threads() -> int:
    """Number of logical CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ram_bytes() -> int | None:
    """The machine's memory in bytes; None if it is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no sysconf on Windows
        return None


def gpu_name() -> str | None:
    """The first NVIDIA GPU's name, or None."""
    for described in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return tool_answer("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")


def why_unsuited(target: str) -> str | None:
    """Reason why this machine does not run a model made for ``target`` at full speed; None if it does, or if unknown.

    The integers are the same on every CPU. An unknown target is no error: a file may come from a newer version.
    """
    flags = cpu_flags()
    if target in ("x86", "x86-avx2"):
        return _why_unsuited_x86(target, flags)
    if target == "arm" and not is_arm():
        return f"made for ARM; on {platform.machine()} it computes the same integers, and its speed here is not typical"
    if target == "arm" and flags and "asimddp" not in flags:
        return "this ARM CPU has no dot product instructions (asimddp): int8 runs, but gains little speed"
    if target == "cuda" and gpu_name() is None:
        return "no NVIDIA GPU was found"
    return None


def _why_unsuited_x86(target: str, flags: tuple[str, ...]) -> str | None:
    if not is_x86():
        return f"made for x86; on {platform.machine()} it computes the same integers, and its speed here is not typical"
    if not flags:
        return None
    if "avx2" not in flags:
        return "this CPU has no AVX2: int8 runs on slow kernels"
    if target == "x86" and not has_vnni(flags):
        return (
            "this CPU has neither VNNI nor AMX: it computes the same integers, by slower kernels; "
            "target x86-avx2 makes a model whose fast kernels are exact here"
        )
    return None
