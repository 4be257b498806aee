"""A layer that no sample reached in calibration: the error names what to keep float, and that works."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.quantization.config import Override, QuantConfig


class Routed(nn.Module):
    """A layer for positive numbers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.positive = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x)
        out = torch.zeros_like(y)
        chosen = x[:, 0] > 0
        out[chosen] = self.positive(y[chosen])
        return out


def test_a_layer_that_no_sample_reaches_stays_float_as_the_remedy_says() -> None:
    torch.manual_seed(0)
    model, x = Routed().eval(), torch.randn(8, 6)
    negative = -x.abs()
    config = QuantConfig(target="x86", equalization=False, narrow_ranges=False, bias_correction=False)
    with pytest.raises(GraphError, match="no data has passed its observer") as caught:
        fxpasses.quantize(model, x, [negative], config)
    kept = tuple(Override(f"node:{name}", keep_float=True) for name in re.findall(r"node:(\w+)", caught.value.fix))
    assert kept
    int8 = fxpasses.quantize(model, x, [negative], replace(config, overrides=kept))
    assert torch.allclose(int8(negative), model(negative), atol=0.1) and int8(x).shape == (8, 6)
