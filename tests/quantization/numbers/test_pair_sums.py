"""Weights that kernels add in pairs, in 16 bits: the pairs are measured on the kernels, the safe ones are counted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from weight_pairs import LAYERS, pair_weights, saturated_in_onnxruntime, saturated_in_torch

from fxpasses.export.engines.saturation import saturates
from fxpasses.export.exact_sums import runtime_saturates
from fxpasses.quantization.numbers.pair_sums import LARGEST_PAIR, is_pair_safe, pair_safe, pair_safe_scales, pairs_meet

SHAPES = [(6, 4, 3, 3), (6, 3, 3, 3), (5, 1, 5, 5), (4, 7), (3, 6, 3), (8, 9, 1, 1), (3, 3, 2, 2, 2)]


@pytest.mark.parametrize(("channels", "kernel", "size", "depthwise"), LAYERS)
def test_kernels_add_no_other_pairs_than_those_named(
    channels: int, kernel: tuple[int, ...], size: int, depthwise: bool
) -> None:
    """If a runtime saturates at all, its pairs are among those named."""
    weight = pair_weights(channels, kernel)
    groups = len(weight) if depthwise else 1
    named = {k for k in range(len(weight)) if not is_pair_safe(weight[[k, k]], 0, 1)} if not depthwise else set()
    in_onnxruntime = saturated_in_onnxruntime(weight, size, groups)
    assert in_onnxruntime <= named
    assert bool(in_onnxruntime) is (runtime_saturates() and bool(named))
    if len(kernel) != 1:  # torch's engine computes those in one dimension as 2d ones
        in_onednn = saturated_in_torch(weight, "onednn", size, groups)
        assert in_onednn <= named
        assert bool(in_onednn) is (saturates("onednn") and bool(named) and channels > 1)


@pytest.mark.skipif("fbgemm" not in torch.backends.quantized.supported_engines, reason="torch has no fbgemm here")
def test_fbgemm_adds_no_other_pairs_in_linear_layers() -> None:
    weight = pair_weights(7, ())
    named = {k for k in range(len(weight)) if not is_pair_safe(weight[k : k + 1], 0, 1)}
    assert saturated_in_torch(weight, "fbgemm", 0) == (named if saturates("fbgemm") else set())


@pytest.mark.parametrize(("channels", "kernel", "size"), [(4, (), 0), (3, (3, 3), 6), (1, (5, 5), 8)])
def test_with_its_option_onnxruntime_saturates_nowhere(channels: int, kernel: tuple[int, ...], size: int) -> None:
    assert saturated_in_onnxruntime(pair_weights(channels, kernel), size, exact=True) == set()


def test_which_layers_have_pairs() -> None:
    assert pairs_meet(torch.zeros(4, 3, 3, 3), 0, 1) and pairs_meet(torch.zeros(4, 3), 0, 1)
    assert not pairs_meet(torch.zeros(4, 1, 3, 3), 0, 4)
    assert pairs_meet(torch.zeros(8, 1, 3, 3), 0, 4), "two outputs to a channel: onnxruntime multiplies matrices"
    assert not pairs_meet(torch.zeros(4, 3, 3, 3), 1, 1), "transposed convolutions compute in float"


@pytest.mark.parametrize(
    ("row", "safe"),
    [
        ((127, 1), True),
        ((127, 2), False),
        ((64, 64), True),
        ((-64, -64), True),
        ((-65, -64), False),
        ((127, -127), True),
        ((1, 127, 127, 1), True),
        ((127, 127, 0, 0), False),
        ((0, 127, 127), True),
    ],
)
def test_the_rule(row: tuple[int, ...], safe: bool) -> None:
    assert is_pair_safe(torch.tensor([row], dtype=torch.int8), 0, 1) is safe


def test_the_rule_is_that_of_16_bits() -> None:
    assert 255 * LARGEST_PAIR <= 2**15 - 1 < 255 * (LARGEST_PAIR + 1)


@given(st.sampled_from(SHAPES), st.integers(0, 2**31))
def test_the_nearest_safe_integers(shape: tuple[int, ...], seed: int) -> None:
    q = torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int16)
    before = q.clone()
    safe = pair_safe(q)
    assert torch.equal(q, before)
    assert is_pair_safe(safe.to(torch.int8), 0, 1)
    assert bool((safe.abs() <= q.abs()).all()) and bool((safe * q >= 0).all())
    assert torch.equal(pair_safe(safe), safe)


def test_what_is_too_much_is_shared() -> None:
    q = torch.tensor([[100, 100], [127, 30], [-127, -127], [-100, 100], [3, 4]])
    assert pair_safe(q).tolist() == [[64, 64], [112, 16], [-64, -64], [-100, 100], [3, 4]]


@pytest.mark.parametrize("shape", SHAPES)
def test_scales_cost_less_than_seven_bits_and_no_less_than_eight(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    peak = weight.flatten(1).abs().amax(1)
    scale = pair_safe_scales(weight, peak / 127)

    def column(scale: Tensor) -> Tensor:
        return scale.reshape(-1, *[1] * (len(shape) - 1))

    def error(scale: Tensor, q: Tensor) -> float:
        return float((q * column(scale) - weight).square().sum())

    ours = error(scale, pair_safe((weight / column(scale)).round()))
    assert ours <= error(peak / 127, pair_safe((weight / column(peak / 127)).round()))
    assert ours < error(peak / 63, (weight / column(peak / 63)).round())


def test_a_channel_without_large_pairs_keeps_its_scale() -> None:
    weight = torch.tensor([[1.0, 0.001, -0.5, 0.4], [1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    scale = pair_safe_scales(weight, torch.tensor([1 / 127, 1 / 127], dtype=torch.float64))
    assert float(scale[0]) == pytest.approx(1 / 127, rel=0.002)
    assert float(scale[1]) == pytest.approx(2 / 127, rel=0.02)
