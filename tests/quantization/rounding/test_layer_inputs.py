"""Columns of a layer's input: the weight times the columns is the layer's output."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fxpasses.quantization.rounding.layer_inputs import input_columns

CASES: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "linear": (F.linear, (3, 6), (4, 6), {}),
    "linear over tokens": (F.linear, (3, 5, 6), (4, 6), {}),
    "conv2d": (F.conv2d, (2, 6, 9, 8), (4, 6, 3, 3), {"stride": (2, 1), "padding": (1, 0)}),
    "dilated": (F.conv2d, (2, 6, 9, 8), (4, 6, 3, 2), {"padding": 2, "dilation": 2}),
    "grouped": (F.conv2d, (2, 6, 9, 8), (4, 3, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": (F.conv2d, (2, 6, 9, 8), (6, 1, 3, 3), {"groups": 6}),
    "conv1d": (F.conv1d, (2, 6, 9), (4, 6, 3), {"stride": (2,), "padding": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_times_columns_are_the_output(name: str) -> None:
    operator, shape, weight_shape, settings = CASES[name]
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(shape, generator=generator), torch.randn(weight_shape, generator=generator)
    columns = input_columns(operator, x, weight, settings)
    assert columns is not None
    groups = settings.get("groups", 1)
    found = (weight.reshape(groups, weight.shape[0] // groups, -1) @ columns).flatten(0, 1)
    y = operator(x, weight, None, **settings)
    channels = y.reshape(-1, y.shape[-1]).T if operator is F.linear else y.transpose(0, 1).flatten(1)
    assert torch.allclose(found, channels, atol=1e-4)


def test_other_layers_have_none() -> None:
    x, weight = torch.randn(1, 3, 4, 4, 4), torch.randn(2, 3, 1, 1, 1)
    assert input_columns(F.conv3d, x, weight, {}) is None
    assert input_columns(F.conv2d, x[..., 0], weight[..., 0], {"padding": "same"}) is None
