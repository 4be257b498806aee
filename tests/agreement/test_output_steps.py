"""One step of an output: its scale, the largest of joined ones, or a 255th of a float output's range."""

from __future__ import annotations

import torch
from tiny_graphs import quantized
from torch import nn

import fxpasses as fx
from fxpasses.agreement.output_steps import lsb_of, output_lsbs
from fxpasses.quantization.int8.int8_calls import qparams_of
from fxpasses.quantization.numbers import ops


def test_float_outputs_count_in_255ths_of_their_range() -> None:
    assert lsb_of(None, torch.tensor([0.0, 255.0])) == 1.0
    assert lsb_of(None, torch.tensor([3.0, 3.0])) == 1.0
    assert lsb_of(0.25, torch.tensor([0.0, 255.0])) == 0.25


def test_the_step_of_each_output() -> None:
    steps = output_lsbs(quantized("two_outputs"))
    assert len(steps) == 2 and all(step is None or step > 0 for step in steps)
    assert output_lsbs(quantized("conv_bn_relu"))[0] is not None
    assert output_lsbs(quantized("linear_on_image")) == [None]


class TwoLevels(nn.Module):
    """Outputs of two convolutions, one ten times as large, moved and joined in float."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        nn.init.uniform_(self.coarse.weight, -10, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = self.fine(x), self.coarse(x)
        return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)


def test_the_step_of_joined_outputs_is_the_largest_of_theirs() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 4)
    gm = fx.quantize(TwoLevels().eval(), x, [x])
    scale = {node.name: qparams_of(node).scale for node in gm.graph.nodes if node.target is ops.dequantize}
    assert output_lsbs(gm) == [scale["coarse_float"]] and scale["coarse_float"] > 3 * scale["fine_float"]
