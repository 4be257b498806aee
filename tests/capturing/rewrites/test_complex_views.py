"""Complex tensors made of pairs: in any layout, with the same values, in int8 graphs and files, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.capturing.attempts import Method


class Pairs(nn.Module):
    """Its pairs lie side by side behind a float convolution, and apart behind an int8 one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        turned = torch.view_as_complex(y.reshape(y.shape[0], 4, 8, 4, 2)) * (1 + 2j)
        return torch.view_as_real(turned).flatten(3)


@pytest.mark.parametrize("method", ["trace", "export"])
def test_pairs_may_lie_apart(method: Method, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, batches = Pairs().eval(), [torch.randn(4, 3, 8, 8) for _ in range(2)]
    graph = fx.capture(net, batches[0], method=method)
    assert torch.equal(graph(batches[1]), net(batches[1]))
    assert not [n for n in graph.graph.nodes if "view_as_complex" in str(n.target)]
    int8 = fx.convert(_calibrated(graph, batches))
    path = fx.export.to_onnx(int8, tmp_path / "m.onnx")
    assert fx.export.parity(int8, batches, onnx_path=path).max_lsb_at_any_node == 0


def _calibrated(graph: torch.fx.GraphModule, batches: list[Tensor]) -> torch.fx.GraphModule:
    observed = fx.observe(fx.fuse(graph), fx.QuantConfig(target="x86"))
    fx.calibrate(observed, batches)
    return observed
