"""Averages on x86: every sum of integers is rounded as in exact arithmetic. Maxima: test_engines_x86.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from test_engines_x86 import call_of
from torch import Tensor

from fxpasses.export.engines import quint8
from fxpasses.export.engines.x86 import x86_kernel
from fxpasses.export.engines.x86_pools import GlobalAveragePool
from fxpasses.models.tiny_net import OneInput, tiny


def averaging(size: tuple[int, int] = (9, 7)) -> GlobalAveragePool:
    net = tiny("mean", lambda: OneInput(lambda net, x: F.adaptive_avg_pool2d(x, 1)), (2, 5, *size))
    kernel = x86_kernel(call_of(net, "adaptive_avg_pool2d"))
    assert isinstance(kernel, GlobalAveragePool)
    return kernel


def test_every_sum_of_an_average_is_rounded_alike() -> None:
    """At the size that was captured, in floats; at others not."""
    kernel = averaging()
    assert kernel.area == 63 and averaging((17, 16)).area is None
    for area in (63, 62):
        bright = torch.arange(area + 1).view(-1, 1) > torch.arange(area)
        images = (bright * 255).to(torch.uint8).view(area + 1, 1, 1, area)
        exact = kernel._exact(images.sum((2, 3), keepdim=True, dtype=torch.int32), area)
        assert torch.equal(quint8.as_bytes(kernel(images)), exact)


def test_an_average_that_floats_round_otherwise_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    from_floats = GlobalAveragePool._from_floats

    def wrong_once(kernel: GlobalAveragePool, total: Tensor, area: int) -> Tensor:
        return from_floats(kernel, torch.where(total == 0, 1e6, total), area)

    monkeypatch.setattr(GlobalAveragePool, "_from_floats", wrong_once)
    assert averaging().area is None
