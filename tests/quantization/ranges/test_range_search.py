from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fxpasses import InputError
from fxpasses.quantization.numbers.qparams import (
    INT7_SYMMETRIC,
    INT8,
    INT8_SYMMETRIC,
    UINT8,
    IntType,
    QParams,
    affine_qparams,
)
from fxpasses.quantization.ranges.histogram import Histogram, StreamingHistogram
from fxpasses.quantization.ranges.range_search import (
    least_entropy_range,
    least_error_range,
    percentile_range,
    qparams_of,
    quantization_error,
    weight_scales,
)

INTEGRAL = 1e-3
"""Relative error of the midpoint sum with 4096 points a bin, with which the closed form is compared."""

FLOAT32_STEP = 2.0**-23

SUM_ORDER = 1e-12
"""A float64 sum over at most 4096 bins depends on its order, which the BLAS picks by the number of candidates."""

values = st.lists(st.floats(-1e4, 1e4, width=32, allow_subnormal=False), min_size=1, max_size=200)
norms = st.sampled_from([1.0, 1.5, 2.0, 2.4, 4.0])
GRIDS = [(UINT8, False), (INT8, False), (INT8_SYMMETRIC, True), (INT7_SYMMETRIC, True)]


def measured(x: Tensor, bins: int = 2048) -> Histogram:
    histogram = StreamingHistogram(bins)
    histogram.add(x)
    return histogram.measured()


def heavy_tailed(n: int = 200_000) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, generator=generator)
    x[:20] *= 40.0
    return x


def fake_quantize(x: Tensor, q: QParams) -> Tensor:
    integers = torch.clamp(torch.round(x / q.scale) + q.zero_point, q.grid.low, q.grid.high)
    return (integers - q.zero_point) * q.scale


def full_range(histogram: Histogram, symmetric: bool) -> tuple[float, float]:
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    return (-max(-low, high), max(-low, high)) if symmetric else (low, high)


@settings(max_examples=40, deadline=None)
@given(values, st.floats(0.01, 1.5), norms)
def test_the_closed_form_is_the_integral(x: list[float], fraction: float, norm: float) -> None:
    histogram = measured(torch.tensor(x), bins=32)
    q = affine_qparams(histogram.low * fraction, histogram.high * fraction, UINT8)
    points = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096
    widths = histogram.edges.diff()
    inside = histogram.edges[:-1, None] + widths[:, None] * points
    errors = (inside - fake_quantize(inside, q)).abs().pow(norm).mean(1)
    expected = float((errors * histogram.counts).sum() / histogram.total)
    assert float(quantization_error(histogram, [q], norm)[0]) == pytest.approx(expected, rel=INTEGRAL, abs=1e-30)


def test_the_error_is_what_is_measured_on_the_data() -> None:
    x = torch.randn(500_000, generator=torch.Generator().manual_seed(1))
    for span in ((-1.0, 1.0), (-2.0, 3.0), (-6.0, 6.0)):
        q = affine_qparams(*span, UINT8)
        truth = float((x - fake_quantize(x, q)).square().mean())
        assert float(quantization_error(measured(x), [q])[0]) == pytest.approx(truth, rel=0.01)


@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize(("grid", "symmetric"), GRIDS)
@given(x=values, norm=norms)
def test_never_worse_than_min_max_and_never_wider(grid: IntType, symmetric: bool, x: list[float], norm: float) -> None:
    histogram = measured(torch.tensor(x))
    found, full = least_error_range(histogram, grid, symmetric=symmetric, norm=norm), full_range(histogram, symmetric)
    candidates = [qparams_of(span, grid, symmetric=symmetric) for span in (found, full)]
    searched, min_max = quantization_error(histogram, candidates, norm).tolist()
    assert searched <= min_max * (1 + SUM_ORDER)
    assert full[0] <= found[0] <= 0.0 <= found[1] <= full[1]


@pytest.mark.parametrize("search", [least_error_range, least_entropy_range])
def test_after_a_relu_low_stays_zero(search: object) -> None:
    assert callable(search)
    low, high = search(measured(heavy_tailed().relu()), UINT8)
    assert low == 0.0
    assert qparams_of((low, high), UINT8, symmetric=False).zero_point == 0


@pytest.mark.parametrize(("grid", "symmetric"), GRIDS)
def test_outliers_are_clipped_when_that_pays(grid: IntType, symmetric: bool) -> None:
    x = heavy_tailed()
    found = least_error_range(measured(x), grid, symmetric=symmetric)
    full = full_range(measured(x), symmetric)
    error = [
        float((x - fake_quantize(x, qparams_of(s, grid, symmetric=symmetric))).square().mean()) for s in (found, full)
    ]
    assert error[0] < 0.9 * error[1]
    assert found[1] < 0.95 * full[1]


def test_a_uniform_distribution_is_not_clipped() -> None:
    low, high = least_error_range(measured(torch.linspace(-1, 3, 100_000)), UINT8)
    assert (low, high) == pytest.approx((-1, 3), rel=0.01)


def test_each_end_finds_its_own_clipping() -> None:
    x = torch.cat([torch.linspace(-0.5, 1.0, 300_000), torch.tensor([-3.0])])
    low, high = least_error_range(measured(x), UINT8)
    assert high == pytest.approx(1.0, rel=0.02)
    assert -2.4 < low < -0.5


def test_a_higher_norm_clips_less() -> None:
    histogram = measured(heavy_tailed())
    highs = [least_error_range(histogram, INT8_SYMMETRIC, symmetric=True, norm=p)[1] for p in (1.0, 2.0, 2.4, 4.0)]
    assert highs == sorted(highs)
    assert highs[0] < 0.8 * highs[-1]


@pytest.mark.parametrize(("grid", "symmetric"), GRIDS)
def test_close_to_the_best_of_a_dense_grid(grid: IntType, symmetric: bool) -> None:
    histogram = measured(heavy_tailed(20_000), bins=256)
    found = least_error_range(histogram, grid, symmetric=symmetric)
    low, high = full_range(histogram, symmetric)
    fractions = [0.985**k for k in range(250)]
    spans = [(low * f, high * g) for f in fractions for g in ([f] if symmetric else fractions[::4])]
    dense = quantization_error(histogram, [qparams_of(s, grid, symmetric=symmetric) for s in spans]).min()
    mine = quantization_error(histogram, [qparams_of(found, grid, symmetric=symmetric)])[0]
    assert float(mine) <= 1.02 * float(dense)


@pytest.mark.parametrize("value", [0.0, 2.5, -2.5, 1e-8, 1e30])
@pytest.mark.parametrize(("grid", "symmetric"), GRIDS)
def test_constants_keep_their_range(value: float, grid: IntType, symmetric: bool) -> None:
    histogram = measured(torch.full((50,), value))
    for low, high in (
        least_error_range(histogram, grid, symmetric=symmetric),
        least_entropy_range(histogram, grid, symmetric=symmetric),
        percentile_range(histogram, 99.99, symmetric=symmetric),
    ):
        q = qparams_of((low, high), grid, symmetric=symmetric)
        constant = torch.tensor([value], dtype=torch.float64)
        assert float(fake_quantize(constant, q)) == pytest.approx(value, rel=0.01)


def test_percentile_cuts_its_share_at_either_end() -> None:
    x = torch.linspace(-1, 1, 100_001)
    assert percentile_range(measured(x), 99.0) == pytest.approx((-0.98, 0.98), abs=1e-3)
    assert percentile_range(measured(x), 100.0) == (-1.0, 1.0)
    assert percentile_range(measured(x.abs()), 99.0) == pytest.approx((0.0, 0.99), abs=1e-3)
    assert percentile_range(measured(x - 0.5), 90.0, symmetric=True) == pytest.approx((-1.3, 1.3), abs=1e-3)


@given(values, st.floats(50.0, 100.0))
def test_percentiles_cover_what_they_say(x: list[float], percentile: float) -> None:
    tensor = torch.tensor(x)
    histogram = measured(tensor)
    low, high = percentile_range(histogram, percentile)
    slack = float(histogram.edges.diff().max())
    allowed = (100 - percentile) / 100 * len(x) + 1e-9
    assert int((tensor > high + slack).sum()) <= allowed
    assert int((tensor < low - slack).sum()) <= allowed


@pytest.mark.parametrize(("grid", "symmetric"), GRIDS)
def test_entropy_keeps_a_uniform_range_and_clips_outliers(grid: IntType, symmetric: bool) -> None:
    uniform = torch.rand(200_000, generator=torch.Generator().manual_seed(2)) * 2 - (1.0 if symmetric else 0.5)
    _, high = least_entropy_range(measured(uniform), grid, symmetric=symmetric)
    assert high >= 0.95 * float(uniform.abs().max() if symmetric else uniform.max())
    x = heavy_tailed()
    low, high = least_entropy_range(measured(x), grid, symmetric=symmetric)
    assert float(x.min()) * 0.9 < low < -1.0 and 1.0 < high < float(x.max()) * 0.9


def test_entropy_does_not_keep_the_zeros_alone() -> None:
    """The divergence alone would clip half of the 3 % of values that are not zero, at a thousand times the error."""
    generator = torch.Generator().manual_seed(4)
    few = torch.rand(200_000, generator=generator) < 0.03
    _, high = least_entropy_range(measured(few * torch.rand(200_000, generator=generator) * 6), UINT8)
    assert high == pytest.approx(6.0, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(values, st.sampled_from(GRIDS))
def test_entropy_costs_no_more_than_clipping_nothing(x: list[float], grid_and_symmetry: tuple[IntType, bool]) -> None:
    grid, symmetric = grid_and_symmetry
    histogram = measured(torch.tensor(x))
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    peak = max(-low, high)
    spans = [
        least_entropy_range(histogram, grid, symmetric=symmetric),
        (-peak, peak) if symmetric else (low, high),
    ]
    found, whole = quantization_error(histogram, [qparams_of(s, grid, symmetric=symmetric) for s in spans]).tolist()
    assert found <= whole * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(values)
def test_entropy_never_leaves_the_data(x: list[float]) -> None:
    histogram = measured(torch.tensor(x))
    low, high = least_entropy_range(histogram, UINT8)
    assert min(histogram.low, 0.0) <= low <= 0.0 <= high <= max(histogram.high, 0.0)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("grid", [INT8_SYMMETRIC, INT7_SYMMETRIC])
def test_min_max_weight_scales_cover_each_channel(axis: int, grid: IntType) -> None:
    weight = torch.randn(5, 7, 3, 2)
    scales = weight_scales(weight, axis, grid)
    peak = weight.abs().amax([d for d in range(4) if d != axis])
    assert scales.dtype == torch.float32
    assert torch.equal(scales, peak / grid.high)


@pytest.mark.parametrize("grid", [INT8_SYMMETRIC, INT7_SYMMETRIC])
def test_mse_weight_scales_are_never_worse_and_never_wider(grid: IntType) -> None:
    weight = torch.randn(8, 1024, 2, 2, generator=torch.Generator().manual_seed(3))

    def errors(scales: Tensor) -> Tensor:
        rows = weight.flatten(1)
        s = scales[:, None]
        return (rows - (rows / s).round().clamp(grid.low, grid.high) * s).square().sum(1)

    min_max, mse = weight_scales(weight, 0, grid), weight_scales(weight, 0, grid, search="mse")
    assert bool((mse <= min_max).all())
    assert bool((errors(mse) <= errors(min_max)).all())
    assert float(errors(mse).sum()) < 0.98 * float(errors(min_max).sum())


@pytest.mark.parametrize("search", ["minmax", "mse"])
@pytest.mark.parametrize("dead", [0.0, 1e-20, 1e-38])
def test_a_dead_channel_takes_the_median_of_the_others(search: str, dead: float) -> None:
    weight = torch.randn(4, 3, 3)
    weight[2] = dead
    scales = weight_scales(weight, 0, INT8_SYMMETRIC, search=search)
    alive = weight_scales(weight[[0, 1, 3]], 0, INT8_SYMMETRIC, search=search)
    assert float(scales[2]) == float(alive.median())
    assert torch.equal(scales[[0, 1, 3]], alive)


def test_a_layer_of_zeros_has_scale_1() -> None:
    assert weight_scales(torch.zeros(3, 4), 0, INT8_SYMMETRIC, search="mse").tolist() == [1.0, 1.0, 1.0]


def test_a_weight_already_on_an_int8_grid_loses_nothing() -> None:
    integers = torch.randint(-127, 128, (6, 50), generator=torch.Generator().manual_seed(4))
    integers[:, 0] = 127
    steps = torch.rand(6, 1) + 0.1
    for search in ("minmax", "mse"):
        scales = weight_scales(integers * steps, 0, INT8_SYMMETRIC, search=search)
        assert torch.allclose(scales, steps[:, 0], rtol=4 * FLOAT32_STEP, atol=0.0)


def test_an_unknown_weight_search_is_an_error() -> None:
    with pytest.raises(InputError, match="weight search 'mes'"):
        weight_scales(torch.ones(2, 2), 0, INT8_SYMMETRIC, search="mes")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_an_error(bad: float) -> None:
    weight = torch.ones(2, 2)
    weight[1, 0] = bad
    with pytest.raises(InputError, match="a weight\n  why: it holds NaN or infinity"):
        weight_scales(weight, 0, INT8_SYMMETRIC)
