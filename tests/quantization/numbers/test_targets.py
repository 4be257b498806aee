"""Integer types and limits of each target."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from cpus import ALDER_LAKE, GENOA, GRAVITON, HASWELL, SANDY_BRIDGE, UNKNOWN, pretend_cpu

from fxpasses.errors import InputError
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.numbers.targets import TARGETS, MachineTarget, Target, find_target


def test_the_targets_of_the_contract() -> None:
    assert list(TARGETS) == ["x86", "x86-avx2", "arm", "cuda"]
    assert all(find_target(name) is target and target.name == name for name, target in TARGETS.items())


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_grids(target: Target) -> None:
    """Weights are symmetric around zero; 8-bit activations use every integer, because ONNX has no narrower ranges."""
    assert target.weights.dtype is torch.int8 and target.weights.low == -target.weights.high
    assert (target.activations.dtype is torch.int8) is target.symmetric_activations
    if not target.symmetric_activations:
        assert (target.activations.dtype, target.activations.low, target.activations.high) == (torch.uint8, 0, 255)


def test_weights_chosen_one_by_one_fit_16_bits_in_pairs() -> None:
    """vpmaddubsw adds two uint8 x int8 products in 16 bits, and saturates."""
    avx2, vnni = TARGETS["x86-avx2"], TARGETS["x86"]
    assert avx2.pair_safe and not vnni.pair_safe
    assert 2 * avx2.activations.high * avx2.free_weights.high <= 2**15 - 1
    assert vnni.free_weights is vnni.weights


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "name", "why"),
    [
        (GENOA, "x86_64", "x86", "VNNI or AMX"),
        (ALDER_LAKE, "AMD64", "x86", "VNNI or AMX"),
        (HASWELL, "x86_64", "x86-avx2", "neither VNNI nor AMX"),
        (SANDY_BRIDGE, "x86_64", "x86-avx2", "neither VNNI nor AMX"),
        (GRAVITON, "aarch64", "arm", "64-bit ARM"),
        (UNKNOWN, "arm64", "arm", "64-bit ARM"),
        (UNKNOWN, "x86_64", "x86-avx2", "does not tell what the CPU can do"),
        (UNKNOWN, "riscv64", "x86-avx2", "neither x86 nor ARM"),
    ],
)
def test_auto_is_the_machines_own(
    monkeypatch: pytest.MonkeyPatch,
    real_machine_target: Callable[[], MachineTarget],
    cpuinfo: str,
    machine: str,
    name: str,
    why: str,
) -> None:
    pretend_cpu(monkeypatch, cpuinfo, machine)
    found = real_machine_target()
    assert found.name == name and why in found.why
    assert find_target("auto") is TARGETS[name]
    assert QuantConfig(target="auto") == QuantConfig() == QuantConfig(target=name)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("x86-avx", "did you mean 'x86-avx2'"),
        ("automatic", "did you mean 'auto'"),
        ("tpu", "choose one of auto, x86, "),
    ],
)
def test_an_unknown_target(name: str, fix: str) -> None:
    with pytest.raises(InputError, match=f"target '{name}'\n.*there is no target of that name\n.*{fix}"):
        find_target(name)
