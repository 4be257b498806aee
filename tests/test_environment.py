"""What is said of the machine, on machines we do not have."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from fxpasses.export import environment as module
from fxpasses.export.environment import cpu_flags, cpu_name, environment, why_unsuited

GENOA = "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: fpu avx2 fma avx512f avx512_vnni rdpid\n"
HASWELL = "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i7-4770\nflags\t\t: fpu avx2 fma\n"
SANDY_BRIDGE = "model name\t: Intel(R) Xeon(R) E5-2650\nflags\t\t: fpu sse4_2 avx\n"
ALDER_LAKE = "model name\t: 12th Gen Intel(R) Core(TM) i5\nflags\t\t: avx2 fma avxvnni\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\nCPU part\t: 0xd40\n"
PI_3 = "processor\t: 0\nFeatures\t: fp asimd\nModel\t\t: Raspberry Pi 3 Model B\n"


def pretend(monkeypatch: pytest.MonkeyPatch, cpuinfo: str, machine: str, gpu: str | None = None) -> None:
    monkeypatch.setattr(module, "_cpuinfo", cpuinfo.splitlines)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(module, "_first_line", lambda *command: gpu if command[0] == "nvidia-smi" else None)


def test_the_environment_is_json_with_the_keys_of_the_report() -> None:
    described = json.loads(json.dumps(environment()))
    assert {"cpu", "flags", "ram", "ram_bytes", "gpu", "versions", "threads"} <= set(described)
    assert described["cpu"]
    assert described["threads"] >= 1
    assert set(described["versions"]) == {"python", *module.PACKAGES}
    assert described["versions"]["torch"] == version("torch")
    assert described["versions"]["python"] == platform.python_version()


def test_nothing_heavy_is_imported() -> None:
    code = "import sys; from fxpasses.export.environment import environment; environment(); "
    code += "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
    pretend(monkeypatch, cpuinfo, machine)
    assert cpu_name() == name
    assert cpu_flags() == flags


def test_macos_is_asked_by_sysctl(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"machdep.cpu.brand_string": "Apple M3", "hw.optional.arm.FEAT_I8MM": "1", "hw.optional.neon": "0"}
    monkeypatch.setattr(module, "_cpuinfo", list)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(module, "_first_line", lambda *command: answers.get(command[-1]))
    assert cpu_name() == "Apple M3"
    assert cpu_flags() == ("i8mm",)


@pytest.mark.parametrize(
    ("target", "cpuinfo", "machine", "reason"),
    [
        ("x86", GENOA, "x86_64", None),
        ("x86", ALDER_LAKE, "x86_64", None),
        ("x86", HASWELL, "x86_64", "neither VNNI nor AMX.*up to 7 points.*--target x86-avx2"),
        ("x86", SANDY_BRIDGE, "x86_64", "no AVX2"),
        ("x86", GRAVITON, "aarch64", "made for x86; on aarch64"),
        ("x86", "", "AMD64", None),
        ("x86-avx2", HASWELL, "x86_64", None),
        ("x86-avx2", GENOA, "x86_64", None),
        ("x86-avx2", SANDY_BRIDGE, "x86_64", "no AVX2"),
        ("arm", GRAVITON, "aarch64", None),
        ("arm", PI_3, "aarch64", "no dot product"),
        ("arm", GENOA, "x86_64", "made for ARM; on x86_64"),
        ("cuda", GENOA, "x86_64", "no NVIDIA GPU"),
        ("a target of the future", GENOA, "x86_64", None),
    ],
)
def test_why_a_target_is_unsuited(
    monkeypatch: pytest.MonkeyPatch, target: str, cpuinfo: str, machine: str, reason: str | None
) -> None:
    pretend(monkeypatch, cpuinfo, machine)
    monkeypatch.setattr(module, "gpu_name", lambda: None)
    answer = why_unsuited(target)
    if reason is None:
        assert answer is None
    else:
        assert re.search(reason, answer or "")


def test_cuda_is_suited_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpu_name", lambda: "NVIDIA H100")
    assert why_unsuited("cuda") is None
    assert environment()["gpu"] == "NVIDIA H100"


def test_a_system_tool_that_is_absent_fails_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOOL_TIMEOUT_S", 0.2)
    assert module._first_line("no-such-tool-anywhere") is None
    assert module._first_line(sys.executable, "-c", "print('said'); raise SystemExit(1)") is None
    assert module._first_line(sys.executable, "-c", "import time; time.sleep(20)") is None
    monkeypatch.setattr(module, "_TOOL_TIMEOUT_S", 20)
    assert module._first_line(sys.executable, "-c", "print('said\\nmore')") == "said"


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert module.installed_version("no-such-package-anywhere") is None
