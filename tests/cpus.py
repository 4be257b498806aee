"""CPUs that are not available, as /proc/cpuinfo describes them, to test decisions that depend on the CPU."""

from __future__ import annotations

import platform

import pytest

from fxpasses import cpu

GENOA = "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: fpu avx2 fma avx512f avx512_vnni rdpid\n"
HASWELL = "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i7-4770\nflags\t\t: fpu avx2 fma\n"
SANDY_BRIDGE = "model name\t: Intel(R) Xeon(R) E5-2650\nflags\t\t: fpu sse4_2 avx\n"
ALDER_LAKE = "model name\t: 12th Gen Intel(R) Core(TM) i5\nflags\t\t: avx2 fma avxvnni\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU part\t: 0xd40\n"
PI_3 = "processor\t: 0\nFeatures\t: fp asimd\nModel\t\t: Raspberry Pi 3 Model B\n"
UNKNOWN = ""


def pretend_cpu(monkeypatch: pytest.MonkeyPatch, cpuinfo: str, machine: str) -> None:
    """Make this process detect another CPU."""
    monkeypatch.setattr(cpu, "_cpuinfo", cpuinfo.splitlines)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(cpu, "tool_answer", lambda *command: None)
