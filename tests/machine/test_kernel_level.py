"""The name of the kernels that ran."""

from __future__ import annotations

import pytest
from cpus import GENOA, GRAVITON, HASWELL, PI_3, SANDY_BRIDGE, UNKNOWN, pretend_cpu
from tiny_graphs import quantized

from fxpasses.machine import kernel_level as module
from fxpasses.machine.kernel_level import kernel_level, kernel_levels
from fxpasses.quantization.config import QuantConfig


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "saturating", "safe", "level"),
    [
        (GENOA, "x86_64", False, False, "VNNI"),
        (GENOA, "x86_64", True, False, "AVX2 exact"),
        (HASWELL, "x86_64", True, True, "AVX2 pair-safe"),
        (HASWELL, "x86_64", True, False, "AVX2 exact"),
        (SANDY_BRIDGE, "x86_64", True, True, "SSE pair-safe"),
        (UNKNOWN, "x86_64", True, True, "AVX2 pair-safe"),
        (GRAVITON, "aarch64", False, False, "SMMLA"),
        (GRAVITON.replace(" i8mm", ""), "aarch64", False, True, "SDOT"),
        (PI_3, "aarch64", False, False, "NEON"),
        (UNKNOWN, "riscv64", False, False, "unknown"),
    ],
)
def test_levels(
    monkeypatch: pytest.MonkeyPatch, cpuinfo: str, machine: str, saturating: bool, safe: bool, level: str
) -> None:
    pretend_cpu(monkeypatch, cpuinfo, machine)
    assert kernel_level(saturating, safe) == level


def test_each_runtime_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu(monkeypatch, HASWELL, "x86_64")
    monkeypatch.setattr(module, "saturates", lambda engine: True)
    monkeypatch.setattr(module, "runtime_saturates", lambda: False)
    safe = quantized("conv_bn_relu", QuantConfig(target="x86-avx2"))
    assert kernel_levels(safe) == {"torch": "AVX2 pair-safe", "onnxruntime": "VNNI"}
    assert kernel_levels(quantized("conv_bn_relu"))["torch"] == "AVX2 exact"
