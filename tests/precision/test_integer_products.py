"""Products of integer matrices are exact by either way."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fxpasses.precision import integer_products
from fxpasses.precision.integer_products import PIECE, integer_product


@pytest.fixture(params=[True, False], ids=["kernel", "pieces"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(integer_products, "_pieces_are_faster", lambda: not request.param)
    return bool(request.param)


@pytest.mark.parametrize("inner", [1, 7, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 5])
@pytest.mark.parametrize("rows", [1, 3, 17])
@pytest.mark.usefixtures("way")
def test_random_integers(rows: int, inner: int) -> None:
    q, weight = torch.randint(-128, 128, (rows, inner)), torch.randint(-128, 128, (inner, 5))
    found = integer_product(q.float(), weight.to(torch.int8))
    assert found.dtype is torch.int32
    assert torch.equal(found.long(), q @ weight)


@pytest.mark.parametrize("inner", [1, 2, 16])
@pytest.mark.usefixtures("way")
def test_a_weight_may_be_a_transposed_one(inner: int) -> None:
    """torch's kernel for VNNI reads a transposed matrix of one row wrongly."""
    q, weight = torch.randint(-128, 128, (17, inner)), torch.randint(-128, 128, (5, inner)).t()
    assert torch.equal(integer_product(q.float(), weight.to(torch.int8)).long(), q @ weight)


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.usefixtures("way")
def test_the_largest_sums_of_a_piece(value: int) -> None:
    weight = torch.full((3 * PIECE, 1), -128, dtype=torch.int8)
    found = integer_product(torch.full((1, 3 * PIECE), float(value)), weight)
    assert found.tolist() == [[3 * PIECE * value * -128]]


@given(st.integers(PIECE - 2, PIECE), st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.integers(0, 2**31))
def test_the_order_of_additions_does_not_matter(length: int, extreme: float, seed: int) -> None:
    """Values of any size, or most of them at the ends of their range."""
    generator = torch.Generator().manual_seed(seed)
    q, weight = (torch.randint(-128, 128, shape, generator=generator) for shape in ((1, length), (length, 3)))
    ends = torch.where(q < 0, -128, 127)
    q = torch.where(torch.rand(q.shape, generator=generator) < extreme, ends, q)
    order = torch.randperm(length, generator=generator)
    both = [integer_products._piece(q[:, o].float(), weight[o].to(torch.int8), 0) for o in (slice(None), order)]
    assert torch.equal(both[0], both[1]) and torch.equal(both[0].long(), q @ weight)
