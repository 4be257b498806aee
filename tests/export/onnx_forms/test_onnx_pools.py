"""Pools that ONNX cannot express, or that onnxruntime computes differently, give PyTorch's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from int8_files import run_file
from torch import Tensor, nn
from torch.nn import functional as F

import fxpasses


class Pools(nn.Module):
    """A pool of the same settings on one, two and three dimensions."""

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        settings: dict[str, Any] = {"stride": 2, "padding": 1, "ceil_mode": True}
        return (
            F.avg_pool1d(x, 3, **settings),
            F.avg_pool2d(y, 3, **settings, count_include_pad=False),
            F.avg_pool2d(y, 3, **settings, divisor_override=5),
            F.avg_pool2d(y, 4, 3, 2, divisor_override=7),
            F.avg_pool3d(z, 3, **settings, divisor_override=2),
            F.max_pool2d(y, 3, **settings),
            F.adaptive_max_pool1d(x, 5),
            F.adaptive_max_pool2d(y, (1, 4)),
        )


@pytest.mark.parametrize("size", [7, 8, 10])
def test_numbers_are_those_of_pytorch(size: int, tmp_path: Path) -> None:
    torch.manual_seed(size)
    inputs = torch.randn(2, 3, size), torch.randn(2, 3, size, size + 1), torch.randn(2, 3, size, 5, 6)
    graph = fxpasses.fuse(fxpasses.capture(Pools().eval(), inputs))
    path = fxpasses.export.to_onnx(graph, tmp_path / "pools.onnx", verify=False)
    for found, expected in zip(run_file(path.read_bytes(), inputs), Pools()(*inputs), strict=True):
        torch.testing.assert_close(found, expected)
    assert {n.op_type for n in onnx.load(path).graph.node} >= {"AveragePool", "MaxPool", "ReduceMax"}
