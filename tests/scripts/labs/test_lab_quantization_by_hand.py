"""Lab 1's quantization by hand: golden values of its course, and a net whose parts are rounded one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from by_hand.integer_chain import by_course_shift, by_long_multiplier
from by_hand.quantization import (
    Link,
    Parts,
    asymmetric_grid,
    clipped_integers,
    integer_net,
    ranges_of,
    rounded,
    simulated,
    symmetric_grid,
)
from torch import Tensor, nn

SIX = torch.tensor([-0.2, 0.1, -0.7, 0.8, 2.2, -1.9])


@pytest.mark.parametrize(("x", "scale", "zero", "q"), [(1.2, 0.7, 0, 2), (0.8, 0.7, 10, 11), (-1.2, 0.7, 3, 1)])
def test_rounding(x: float, scale: float, zero: int, q: int) -> None:
    assert rounded(torch.tensor([x]), scale, zero).tolist() == [q]


def test_two_bits_clip() -> None:
    """Scale 0.5: -0.7 / 0.5 rounds to -1, and 2.2 is beyond both grids."""
    symmetric, asymmetric = symmetric_grid(-0.5, 0.5, 2), asymmetric_grid(0.0, 1.5, 2)
    assert (symmetric.scale, asymmetric.scale) == (0.5, 0.5)
    assert clipped_integers(SIX, symmetric).tolist() == [0, 0, -1, 1, 1, -2]
    assert clipped_integers(SIX, asymmetric).tolist() == [0, 0, 0, 2, 3, 0]


@pytest.mark.parametrize(("bits", "scale"), [(4, 1.714285731), (2, 12.0)])
def test_symmetric_scales_of_a_range(bits: int, scale: float) -> None:
    grid = symmetric_grid(-10, 12, bits)
    assert grid.scale == pytest.approx(scale, abs=1e-9)
    assert grid.zero == 0


@pytest.mark.parametrize(("bits", "scale", "zero"), [(4, 1.466666698, 7), (3, 3.142857074, 3)])
def test_asymmetric_scales_of_a_range(bits: int, scale: float, zero: int) -> None:
    grid = asymmetric_grid(-10, 12, bits)
    assert grid.scale == pytest.approx(scale, abs=1e-9)
    assert grid.zero == zero


def test_a_range_of_nothing_but_zero_has_a_scale() -> None:
    assert symmetric_grid(0, 0, 8).scale == asymmetric_grid(0, 0, 8).scale == 1.0


@pytest.fixture(scope="module")
def chain() -> tuple[Link, ...]:
    torch.manual_seed(0)
    return (
        Link("conv", nn.Conv2d(2, 3, 3, stride=2, padding=1), relu=True),
        Link("pool", pools=True),
        Link("flatten"),
        Link("linear", nn.Linear(3 * 2 * 2, 5)),
    )


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.randn(64, 2, 9, 8, generator=torch.Generator().manual_seed(1))


def test_integers_alone_are_what_was_simulated(chain: tuple[Link, ...], inputs: Tensor) -> None:
    ranges = ranges_of(chain, inputs)
    expected = simulated(chain, ranges, inputs, Parts())
    logits = torch.from_numpy(integer_net(chain, ranges, by_long_multiplier)(inputs.numpy()))
    step = ranges["conv"][1] / 255
    # Where float rounds a value at a tie the other way, one integer differs by one, and a logit by its weight's share.
    largest = chain[3].layer.weight.abs().max().item() if chain[3].layer is not None else 0.0
    assert (logits - expected).abs().max().item() <= 2 * step * largest
    assert (logits - expected).abs().mean().item() < 0.01 * step


def test_the_short_shift_is_coarser(chain: tuple[Link, ...], inputs: Tensor) -> None:
    ranges = ranges_of(chain, inputs)
    exact = integer_net(chain, ranges, by_long_multiplier)(inputs.numpy())
    short = integer_net(chain, ranges, by_course_shift)(inputs.numpy())
    float_logits = simulated(chain, ranges, inputs, Parts(weights=False, activations=False, biases=False)).numpy()
    assert np.square(short - float_logits).mean() > np.square(exact - float_logits).mean()


def test_each_part_costs_by_itself(chain: tuple[Link, ...], inputs: Tensor) -> None:
    ranges = ranges_of(chain, inputs, 1.0)
    plain = inputs
    for link in chain:
        plain = link(plain)
    off = {}
    for name in ("weights", "activations", "biases"):
        parts = Parts(**{part: part == name for part in ("weights", "activations", "biases")})
        off[name] = (simulated(chain, ranges, inputs, parts) - plain).abs().max().item()
    nothing = Parts(weights=False, activations=False, biases=False)
    assert torch.equal(simulated(chain, ranges, inputs, nothing), plain)
    assert 0 < off["biases"] < off["weights"] < 0.2
    assert 0 < off["activations"] < 0.2


def test_fewer_bits_cost_more(chain: tuple[Link, ...], inputs: Tensor) -> None:
    ranges = ranges_of(chain, inputs)
    nothing = simulated(chain, ranges, inputs, Parts(weights=False, activations=False, biases=False))
    errors = [(simulated(chain, ranges, inputs, Parts(bits)) - nothing).square().mean().item() for bits in (2, 4, 8)]
    assert errors[0] > 4 * errors[1] > 16 * errors[2] > 0


def test_percentiles_leave_outliers_out() -> None:
    x = torch.zeros(1, 1001)
    x[0, 0], x[0, 1:11] = 100.0, 1.0
    assert ranges_of((), x, 0.995)["input"] == (0.0, 1.0)
    assert ranges_of((), x, 1.0)["input"] == (0.0, 100.0)
