"""Phases of transposed convolutions: each output is in one phase, and reads what the float operator reads."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from fxpasses.export.engines.cuda.launching.phases import Axis, AxisPhase, Volumes

GEOMETRIES = [
    Axis(size, stride, padding, dilation, more)
    for size, stride, padding, dilation, more in product((1, 2, 3, 5), (1, 2, 3), (0, 1), (1, 2, 3), (0, 1))
    if padding <= dilation * (size - 1) and more < max(stride, dilation)
]


def transposed_by_phases(axis: Axis, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    one = Axis()
    volumes = Volumes((one, one, axis), transposed=True)
    (_, _, spacing), (_, _, spread) = volumes.spacing, volumes.spread
    y = torch.full((axis.output(len(x), transposed=True),), torch.nan, dtype=x.dtype)
    for phase in axis.phases(transposed=True):
        for turn, at in enumerate(range(phase.first, len(y), spread)):
            read = {phase.position + turn + spacing * place: tap for place, tap in enumerate(phase.taps)}
            assert torch.isnan(y[at])
            y[at] = sum((x[i] * weight[tap] for i, tap in read.items() if 0 <= i < len(x)), torch.zeros(()))
    return y


@pytest.mark.parametrize("axis", GEOMETRIES, ids=str)
def test_phases_are_the_transposed_convolution(axis: Axis) -> None:
    x, weight = torch.arange(1.0, 5.0), torch.arange(1.0, 1.0 + axis.size) ** 2
    expected = F.conv_transpose1d(
        x[None, None], weight[None, None], None, axis.stride, axis.padding, axis.more, 1, axis.dilation
    )
    assert torch.equal(transposed_by_phases(axis, x, weight), expected[0, 0])


def test_an_ordinary_convolution_is_one_phase() -> None:
    volumes = Volumes((Axis(1), Axis(3, 2, 1, 2), Axis(2)), transposed=False)
    assert volumes.phases == [(AxisPhase(0, (0,), 0), AxisPhase(0, (0, 1, 2), -1), AxisPhase(0, (0, 1), 0))]
    assert (volumes.steps, volumes.spacing, volumes.spread) == ((1, 2, 1), (1, 2, 1), (1, 1, 1))
    image = torch.zeros(1, 1, 9, 5)
    assert (
        volumes.output_size((1, 9, 5))[1:]
        == F.conv2d(image, torch.zeros(1, 1, 3, 2), None, (2, 1), (1, 0), (2, 1)).shape[2:]
    )
