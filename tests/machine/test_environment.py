"""Description of the machine, tested with machines that are not available here."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from cpus import ALDER_LAKE, GENOA, GRAVITON, HASWELL, PI_3, SANDY_BRIDGE, pretend_cpu

from fxpasses.machine import environment as module
from fxpasses.machine.environment import environment, why_unsuited


def test_the_environment_is_json_with_the_keys_of_the_report() -> None:
    described = json.loads(json.dumps(environment()))
    assert {"cpu", "flags", "ram", "ram_bytes", "gpu", "versions", "threads"} <= set(described)
    assert described["cpu"]
    assert described["threads"] >= 1
    assert set(described["versions"]) == {"python", *module.PACKAGES}
    assert described["versions"]["torch"] == version("torch")
    assert described["versions"]["python"] == platform.python_version()


def test_nothing_heavy_is_imported() -> None:
    code = "import sys; from fxpasses.machine.environment import environment; environment(); "
    code += "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("target", "cpuinfo", "machine", "reason"),
    [
        ("x86", GENOA, "x86_64", None),
        ("x86", ALDER_LAKE, "x86_64", None),
        ("x86", HASWELL, "x86_64", "neither VNNI nor AMX.*the same integers.*target x86-avx2"),
        ("x86", SANDY_BRIDGE, "x86_64", "no AVX2"),
        ("x86", GRAVITON, "aarch64", "made for x86; on aarch64 it computes the same integers"),
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
    pretend_cpu(monkeypatch, cpuinfo, machine)
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


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert module.installed_version("no-such-package-anywhere") is None
