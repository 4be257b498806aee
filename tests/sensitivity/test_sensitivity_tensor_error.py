"""Error and distribution of one tensor."""

from __future__ import annotations

import pytest
import torch

from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import UINT8, affine_qparams
from fxpasses.sensitivity.tensor_error import MOST_BINS_OUTSIDE, STEPS_PER_BIN, TensorError, bin_edges

GRID = affine_qparams(-1.0, 3.0, UINT8)


def error_of(x: torch.Tensor, low: float = -1.0, high: float = 3.0) -> TensorError:
    error = TensorError(GRID, low, high)
    error.add(x, ops.quantize(x, GRID.scale, GRID.zero_point, torch.uint8))
    return error


def test_rounding_costs_at_most_half_a_step() -> None:
    error = error_of(torch.linspace(-0.99, 2.99, 3000))
    assert 0 < error.max_error <= GRID.scale / 2 * (1 + 1e-5)
    assert error.clipped_percent == 0
    assert error.sqnr_db is not None and error.sqnr_db > 45


def test_batches_add_up() -> None:
    x = torch.randn(400, generator=torch.Generator().manual_seed(0))
    whole, parts = error_of(x), TensorError(GRID, -1.0, 3.0)
    for part in x.split(150):
        parts.add(part, ops.quantize(part, GRID.scale, GRID.zero_point, torch.uint8))
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db)
    assert parts.histogram() == whole.histogram()


def test_clipped_values_are_counted_and_land_at_the_end_of_the_grid() -> None:
    error = error_of(torch.tensor([0.0, 1.0, 2.0, 5.0]), high=5.0)
    assert error.clipped_percent == 25.0
    assert error.max_error == pytest.approx(5.0 - GRID.range[1])
    histogram = error.histogram()
    assert sum(histogram["float"]) == sum(histogram["int8"]) == 4
    last_float = max(i for i, n in enumerate(histogram["float"]) if n)
    last_int8 = max(i for i, n in enumerate(histogram["int8"]) if n)
    assert last_int8 < last_float


def test_bins_hold_whole_steps_so_uniform_integers_make_no_comb() -> None:
    grid_values = (torch.arange(256) - GRID.zero_point) * GRID.scale
    counts = error_of(grid_values).histogram()["int8"]
    assert set(counts) == {STEPS_PER_BIN}


def test_bins_reach_as_far_as_the_data_but_not_without_end() -> None:
    inside, outside = bin_edges(GRID, -1.0, 3.0), bin_edges(GRID, -1.0, 1e6)
    assert len(outside) - len(inside) == MOST_BINS_OUTSIDE
    assert len(inside) - 1 == 256 // STEPS_PER_BIN
    assert error_of(torch.tensor([1e6]), high=1e6).histogram()["float"][-1] == 1
