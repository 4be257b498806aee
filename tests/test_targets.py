"""What each target wants of its integers."""

from __future__ import annotations

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.quantization.targets import TARGETS, Target, find_target


def test_the_targets_of_the_contract() -> None:
    assert list(TARGETS) == ["x86", "x86-avx2", "arm", "cuda"]
    assert all(find_target(name) is target and target.name == name for name, target in TARGETS.items())


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_grids(target: Target) -> None:
    """Weights are symmetric around zero; 8-bit activations use every integer, for ONNX drops narrower ranges."""
    assert target.weights.dtype is torch.int8 and target.weights.low == -target.weights.high
    assert (target.activations.dtype is torch.int8) is target.symmetric_activations
    if not target.symmetric_activations:
        assert (target.activations.dtype, target.activations.low, target.activations.high) == (torch.uint8, 0, 255)


def test_sums_of_two_products_fit_16_bits_on_avx2() -> None:
    """vpmaddubsw adds two uint8 x int8 products in 16 bits, and saturates."""
    avx2, vnni = TARGETS["x86-avx2"], TARGETS["x86"]
    assert 2 * avx2.activations.high * avx2.weights.high <= 2**15 - 1
    assert 2 * vnni.activations.high * vnni.weights.high > 2**15 - 1


@pytest.mark.parametrize(("name", "fix"), [("x86-avx", "did you mean 'x86-avx2'"), ("tpu", "choose one of x86, ")])
def test_an_unknown_target(name: str, fix: str) -> None:
    with pytest.raises(InputError, match=f"target '{name}'\n.*there is no target of that name\n.*{fix}"):
        find_target(name)
