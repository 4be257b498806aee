"""Pools that return the places of their maxima, and unpooling: the same numbers in float, in int8
and in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from int8_files import exported, run_file
from tiny_graphs import X86, outputs_of
from torch import Tensor, nn

import fxpasses
from fxpasses.export import parity, to_onnx, to_torch

ROUNDING = 1e-5
"""Rounding error of one convolution."""


class _Unpooled(nn.Module):
    """A convolution, a pool with indices, and an unpool that puts the maxima back."""

    def __init__(self, conv: nn.Module, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.function = conv, function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.conv(x))


def _by_modules(pool: nn.Module, unpool: nn.Module, **sized: bool) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        y, places = pool(x)
        out: Tensor = unpool(y, places, output_size=x.size()) if sized else unpool(y, places)
        return out

    return run


def _by_functions(x: Tensor) -> Tensor:
    y, places = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    return F.max_unpool2d(y, places, [3, 3], [2, 2], [1, 1], output_size=list(x.shape[-2:]))


_1D, _2D, _3D = (nn.Conv1d(3, 4, 3), (3, 11)), (nn.Conv2d(3, 4, 3), (3, 10, 8)), (nn.Conv3d(3, 4, 3), (3, 6, 6, 8))
CASES: dict[str, tuple[tuple[nn.Module, tuple[int, ...]], Callable[[Tensor], Any]]] = {
    "modules": (_2D, _by_modules(nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2))),
    "modules, output_size": (_2D, _by_modules(nn.MaxPool2d(3, return_indices=True), nn.MaxUnpool2d(3), sized=True)),
    "modules in 1-D": (_1D, _by_modules(nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2), sized=True)),
    "modules in 3-D": (_3D, _by_modules(nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2))),
    "functions": (_2D, _by_functions),
    "windows that overlap": (
        _2D,
        _by_modules(nn.MaxPool2d(3, 2, return_indices=True), nn.MaxUnpool2d(3, 2), sized=True),
    ),
    "indices as an output": (_2D, lambda x: F.max_pool2d(x, 2, return_indices=True)),
    "indices of padded windows": (_2D, lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)),
    "indices read by arithmetic": (_2D, lambda x: torch.mul(*F.max_pool2d(x, 2, return_indices=True))),
    "maxima alone": (_2D, lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "a dilated pool": (_2D, lambda x: F.max_pool2d(x, 2, dilation=2, return_indices=True)),
}


QUICK = ("functions", "indices of padded windows", "modules in 1-D")


def _case(name: str) -> tuple[nn.Module, Tensor]:
    (conv, shape), function = CASES[name]
    return _Unpooled(conv, function).eval(), torch.randn(3, *shape, generator=torch.Generator().manual_seed(4))


def _same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(a.dtype == b.dtype and torch.allclose(a, b, atol=ROUNDING) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", sorted(CASES))
def test_in_float(name: str) -> None:
    model, x = _case(name)
    gm = fxpasses.fuse(fxpasses.capture(model, x[:2]))
    expected = outputs_of(model, (x,))
    assert _same(outputs_of(gm, (x,)), expected)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in sorted(CASES)])
def test_in_onnxruntime(name: str) -> None:
    model, x = _case(name)
    gm = fxpasses.fuse(fxpasses.capture(model, x[:2]))
    assert _same(run_file(exported(gm, verify=False), (x,)), outputs_of(model, (x,)))


@pytest.mark.parametrize("name", ["modules, output_size", pytest.param("functions", marks=pytest.mark.slow)])
def test_in_int8(name: str, tmp_path: Any) -> None:
    model, x = _case(name)
    gm = fxpasses.quantize(model, x[:2], [x], X86)
    assert _same(outputs_of(to_torch(gm, "x86"), (x,)), outputs_of(to_torch(gm, "reference"), (x,)))
    found = parity(gm, [x], onnx_path=to_onnx(gm, tmp_path / "model.onnx"))
    assert found.max_lsb_at_any_node == 0
