"""Integers of a layer: weights, biases, and scales without ties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fxpasses.errors import InputError
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.weights import LARGEST_BIAS, IntegerWeights, integer_weights
from fxpasses.quantization.numbers.qparams import INT8_SYMMETRIC, UINT8, QParams, as_float32
from fxpasses.quantization.numbers.tie_free import MARGIN, SMALLEST_PROVABLE, simplest_fraction, smallest_margin

MOST_MOVED = 0.002
"""Tie-free multipliers are at most this far from the wanted ones (see test_tie_free.py)."""
X86 = QuantConfig()


@dataclass(frozen=True)
class Case:
    """A random layer with the scales of its input and output."""

    layer: nn.Module
    axis: int
    x: QParams
    y: QParams

    def integers(self, config: QuantConfig = X86) -> IntegerWeights:
        return integer_weights(self.layer, self.axis, self.x, self.y, config)

    def weight(self) -> torch.Tensor:
        return self.layer.get_parameter("weight").detach()


LAYERS: dict[str, tuple[Any, int]] = {
    "conv2d": (lambda bias: nn.Conv2d(5, 8, 3, bias=bias), 0),
    "conv1d_grouped": (lambda bias: nn.Conv1d(6, 4, 2, groups=2, bias=bias), 0),
    "conv3d": (lambda bias: nn.Conv3d(2, 3, 2, bias=bias), 0),
    "depthwise": (lambda bias: nn.Conv2d(6, 12, 3, groups=6, bias=bias), 0),
    "linear": (lambda bias: nn.Linear(11, 4, bias=bias), 0),
    "transposed": (lambda bias: nn.ConvTranspose2d(5, 7, 3, bias=bias), 1),
    "transposed_grouped": (lambda bias: nn.ConvTranspose2d(6, 9, 3, groups=3, bias=bias), 1),
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    build, axis = LAYERS[draw(st.sampled_from(sorted(LAYERS)))]
    torch.manual_seed(draw(st.integers(0, 1000)))
    layer: nn.Module = build(draw(st.booleans()))
    size = draw(st.sampled_from([1e-3, 0.1, 1.0, 30.0]))
    for name, parameter in layer.named_parameters():
        spread = 10 ** (2 * torch.rand(parameter.shape[:1])) if name == "weight" else torch.ones(1)
        parameter.data.mul_(size * spread.reshape(-1, *[1] * (parameter.dim() - 1)))
    x = QParams(as_float32(draw(st.floats(1e-4, 1.0))), draw(st.integers(0, 255)), UINT8)
    y = QParams(as_float32(draw(st.floats(1e-3, 3.0))), draw(st.integers(0, 255)), UINT8)
    return Case(layer, axis, x, y)


@given(cases(), st.sampled_from(["x86", "x86-avx2", "arm", "cuda"]), st.booleans())
def test_shapes_types_and_ranges(case: Case, target: str, tie_free: bool) -> None:
    config = QuantConfig(target=target, tie_free=tie_free)
    found = case.integers(config)
    weight = case.weight()
    assert (found.weight.dtype, found.weight.shape) == (torch.int8, weight.shape)
    assert (found.weight_scale.dtype, found.weight_scale.shape) == (
        torch.float32,
        weight.shape[case.axis : case.axis + 1],
    )
    assert float(found.weight_scale.min()) > 0
    assert int(found.weight.abs().max()) <= config.for_target.weights.high
    if getattr(case.layer, "bias", None) is not None:
        assert found.bias is not None and found.bias.dtype is torch.int32
        assert int(found.bias.abs().max()) <= LARGEST_BIAS * (1 + MOST_MOVED)


@given(cases())
def test_weights_are_the_nearest_integers(case: Case) -> None:
    found = case.integers()
    shape = [1] * found.weight.dim()
    shape[case.axis] = -1
    scale = found.weight_scale.double().reshape(shape)
    off = (found.weight.double() * scale - case.weight().double()).abs()
    inside = case.weight().double().abs() <= scale * INT8_SYMMETRIC.high
    assert bool((off <= scale / 2 + (~inside) * MOST_MOVED * scale * INT8_SYMMETRIC.high).all())


@given(cases())
def test_biases_are_the_nearest_integers_on_the_product_grid(case: Case) -> None:
    found = case.integers()
    bias = getattr(case.layer, "bias", None)
    if bias is None:
        assert found.bias is None and found.bias_scale is None
        return
    assert found.bias is not None and found.bias_scale is not None
    repeats = len(bias) // len(found.weight_scale)
    assert torch.equal(found.bias_scale, torch.tensor(case.x.scale) * found.weight_scale.repeat(repeats))
    off = (found.bias.double() * found.bias_scale.double() - bias.detach().double()).abs()
    assert bool((off <= found.bias_scale.double() / 2).all())


@given(cases())
def test_no_channel_can_meet_a_tie(case: Case) -> None:
    found = case.integers()
    multipliers = case.x.scale * found.weight_scale.double() / case.y.scale
    for multiplier in multipliers.tolist():
        if SMALLEST_PROVABLE <= multiplier < 1:  # a float32 holds one such fraction; of others nothing is claimed
            assert simplest_fraction(multiplier, 2.0**-22).denominator % 2 == 1


@given(cases())
def test_exact_recipes_leave_a_margin_for_every_channel(case: Case) -> None:
    found = case.integers(QuantConfig(exact=True))
    multipliers = case.x.scale * found.weight_scale.double() / case.y.scale
    if float(multipliers.max()) < 1:  # above, 2**-22 of a multiplier holds several fractions: no proof, and no use
        assert smallest_margin(multipliers) >= MARGIN


@given(cases())
def test_without_tie_free_the_scales_are_those_of_the_search(case: Case) -> None:
    found = case.integers(QuantConfig(tie_free=False))
    rows = case.weight().movedim(case.axis, 0).flatten(1).abs().amax(1)
    if getattr(case.layer, "groups", 1) == 1 or case.axis == 0:
        assert bool((found.weight_scale >= rows / INT8_SYMMETRIC.high * (1 - 2.0**-20)).all())


def test_a_dead_channel_gives_its_bias() -> None:
    """All its weights are zero: its scale comes from the other channels, and its bias from the float layer."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 2)
    layer.get_parameter("weight").data[2] = 0.0
    layer.get_parameter("bias").data[2] = 0.83
    x, y = QParams(as_float32(0.02), 3, UINT8), QParams(as_float32(0.01), 0, UINT8)
    found = integer_weights(layer, 0, x, y, X86)
    assert not bool(found.weight[2].any())
    assert found.bias is not None and found.bias_scale is not None
    assert abs(int(found.bias[2]) * float(found.bias_scale[2]) - 0.83) <= float(found.bias_scale[2]) / 2 + 1e-7


def test_a_layer_of_zeros() -> None:
    layer = nn.Linear(3, 2)
    for parameter in layer.parameters():
        parameter.data.zero_()
    found = integer_weights(layer, 0, QParams(0.5, 0, UINT8), QParams(1.0, 0, UINT8), X86)
    assert not bool(found.weight.any()) and found.bias is not None and not bool(found.bias.any())
    assert bool(torch.isfinite(found.weight_scale).all())


def test_a_huge_bias_widens_the_scale_of_its_channel_alone() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(8, 3)
    plain = integer_weights(layer, 0, QParams(1e-4, 0, UINT8), QParams(1.0, 0, UINT8), X86)
    layer.bias.data[1] = 1e5
    found = integer_weights(layer, 0, QParams(1e-4, 0, UINT8), QParams(1.0, 0, UINT8), X86)
    assert found.bias is not None and abs(int(found.bias[1])) <= LARGEST_BIAS * (1 + MOST_MOVED)
    assert float(found.weight_scale[1]) > 10 * float(plain.weight_scale[1])
    assert torch.equal(found.weight_scale[[0, 2]], plain.weight_scale[[0, 2]])


def test_groups_of_a_transposed_convolution_share_one_scale() -> None:
    found = integer_weights(
        nn.ConvTranspose2d(6, 9, 3, groups=3), 1, QParams(0.1, 0, UINT8), QParams(0.1, 0, UINT8), X86
    )
    assert found.weight_scale.shape == (3,) and len(set(found.weight_scale.tolist())) == 1
    assert found.bias is not None and found.bias.shape == (9,)


def test_the_search_is_the_recipes() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4096, 2)
    nn.init.normal_(layer.weight)
    x, y = QParams(0.1, 0, UINT8), QParams(0.1, 0, UINT8)
    wide = integer_weights(layer, 0, x, y, QuantConfig(weight_search="minmax"))
    narrow = integer_weights(layer, 0, x, y, QuantConfig(weight_search="mse"))
    assert float(narrow.weight_scale[0]) < float(wide.weight_scale[0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(bad: float) -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data[1, 1] = bad
    with pytest.raises(InputError, match=r"a weight\n.*it holds NaN or infinity"):
        integer_weights(layer, 0, QParams(0.1, 0, UINT8), QParams(0.1, 0, UINT8), X86)
