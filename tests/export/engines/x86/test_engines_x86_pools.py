"""Averages on x86: every sum of integers is rounded as in exact arithmetic. Maxima: test_engines_x86.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from engine_calls import call_of
from tiny_nets.net import OneInput, tiny

from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.export.engines.x86.engine import x86_kernel
from fxpasses.export.engines.x86.pools import GlobalAveragePool


@pytest.mark.parametrize("area", [63, 62])
def test_every_sum_of_an_average_is_rounded_as_in_exact_arithmetic(area: int) -> None:
    """At the size that was captured and at another."""
    net = tiny("mean", lambda: OneInput(lambda net, x: F.adaptive_avg_pool2d(x, 1)), (2, 5, 9, 7))
    call = call_of(net, "adaptive_avg_pool2d")
    kernel = x86_kernel(call)
    assert isinstance(kernel, GlobalAveragePool)
    x, y = kernel.x, kernel.y
    totals = torch.arange(255 * area + 1)
    # 0 and 255 as often as they fit, and one value between
    images = (totals.view(-1, 1) - 255 * torch.arange(area)).clamp(0, 255).to(torch.uint8).view(-1, 1, 1, area)
    found = kernel(images).flatten()
    above_zero = found.double() - y.zero_point
    exact = (totals.double() - area * x.zero_point) * (x.scale / y.scale / area)
    assert (above_zero - exact.clamp(-y.zero_point, 255 - y.zero_point)).abs().max() <= 0.5
    assert torch.equal(found, ReferenceKernel(call)(images).flatten())
