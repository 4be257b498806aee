"""Operators of LOWERED graphs compared with explicit arithmetic."""

from __future__ import annotations

import torch

from fxpasses.precision.ops import dynamic_integers, dynamic_qparams, matmul_dynamic, matmul_nbits, unpacked


def test_four_bits_are_unpacked_low_half_first() -> None:
    packed = torch.tensor([[[0x8F, 0x07]]], dtype=torch.uint8)  # 15, 8, 7, 0
    assert unpacked(packed, torch.tensor([[0.5]]), 3, 4).tolist() == [[3.5, 0.0, -0.5]]


def test_matmul_nbits_of_bytes() -> None:
    packed = torch.tensor([[[129, 126]], [[128, 255]]], dtype=torch.uint8)
    y = matmul_nbits(torch.tensor([[2.0, 3.0]]), packed, torch.tensor([[1.0], [2.0]]), 2, 8, 4)
    assert y.tolist() == [[2 * 1 - 3 * 2, 3 * 127 * 2]]


def test_dynamic_grid_covers_zero() -> None:
    scale, zero_point = dynamic_qparams(torch.tensor([[1.0, 2.55]]))
    assert (round(float(scale), 6), float(zero_point)) == (0.01, 0)
    scale, zero_point = dynamic_qparams(torch.tensor([[-2.55, -1.0]]))
    assert float(zero_point) == 255
    scale, zero_point = dynamic_qparams(torch.zeros(2, 3))
    assert (float(scale), float(zero_point)) == (1.0, 0.0)


def test_dynamic_sums_are_exact() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 5, 700, generator=generator)
    weight = torch.randint(-127, 128, (700, 9), generator=generator, dtype=torch.int8)
    scale = torch.rand(9, generator=generator)
    found = matmul_dynamic(x, weight, weight.sum(0, dtype=torch.int32), scale)
    x_scale, zero_point = dynamic_qparams(x)
    sums = (dynamic_integers(x, x_scale, zero_point) - zero_point).double() @ weight.double()
    assert torch.equal(found, sums.float() * (x_scale * scale))
