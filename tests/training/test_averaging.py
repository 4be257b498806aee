"""The moving average of parameters."""

from __future__ import annotations

import torch

from fxpasses.training.runs.averaging import ParameterAverage


def test_it_is_exponential() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        average = ParameterAverage(layer, 0.75)
        layer.weight.fill_(5.0)
        average.update(layer)
        layer.weight.fill_(9.0)
        average.update(layer)
    assert average.values["weight"].item() == 1 * 0.5625 + 5 * 0.1875 + 9 * 0.25
    average.put_into(layer)
    assert layer.weight.item() == average.values["weight"].item()
