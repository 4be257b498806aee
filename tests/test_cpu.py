"""Description of the CPU, tested with CPUs that are not available here."""

from __future__ import annotations

import platform
import sys

import pytest
from cpus import ALDER_LAKE, GENOA, GRAVITON, PI_3, pretend_cpu

from fxpasses import cpu
from fxpasses.cpu import cpu_flags, cpu_name, has_vnni, is_arm, is_x86


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "name", "flags"),
    [
        (GENOA, "x86_64", "AMD EPYC 9654", ("avx2", "fma", "avx512f", "avx512_vnni")),
        (ALDER_LAKE, "AMD64", "12th Gen Intel(R) Core(TM) i5", ("avx2", "fma", "avx_vnni")),
        (GRAVITON, "aarch64", "aarch64", ("asimd", "asimddp", "i8mm")),
        (PI_3, "aarch64", "Raspberry Pi 3 Model B", ("asimd",)),
        ("", "arm64", "arm64", ()),
    ],
)
def test_cpu_name_and_flags(
    monkeypatch: pytest.MonkeyPatch, cpuinfo: str, machine: str, name: str, flags: tuple[str, ...]
) -> None:
    pretend_cpu(monkeypatch, cpuinfo, machine)
    assert cpu_name() == name
    assert cpu_flags() == flags


def test_macos_is_asked_by_sysctl(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"machdep.cpu.brand_string": "Apple M3", "hw.optional.arm.FEAT_I8MM": "1", "hw.optional.neon": "0"}
    monkeypatch.setattr(cpu, "_cpuinfo", list)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(cpu, "tool_answer", lambda *command: answers.get(command[-1]))
    assert cpu_name() == "Apple M3"
    assert cpu_flags() == ("i8mm",)


@pytest.mark.parametrize(
    ("machine", "x86", "arm"),
    [("x86_64", True, False), ("AMD64", True, False), ("aarch64", False, True), ("riscv64", False, False)],
)
def test_the_architecture(monkeypatch: pytest.MonkeyPatch, machine: str, x86: bool, arm: bool) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert (is_x86(), is_arm()) == (x86, arm)


def test_vnni_has_three_names() -> None:
    assert all(has_vnni(("avx2", flag)) for flag in ("avx512_vnni", "avx_vnni", "amx_int8"))
    assert not has_vnni(("avx2", "avx512f"))


def test_a_system_tool_that_is_absent_fails_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_TOOL_TIMEOUT_S", 0.2)
    assert cpu.tool_answer("no-such-tool-anywhere") is None
    assert cpu.tool_answer(sys.executable, "-c", "print('said'); raise SystemExit(1)") is None
    assert cpu.tool_answer(sys.executable, "-c", "import time; time.sleep(20)") is None
    monkeypatch.setattr(cpu, "_TOOL_TIMEOUT_S", 20)
    assert cpu.tool_answer(sys.executable, "-c", "print('said\\nmore')") == "said"
