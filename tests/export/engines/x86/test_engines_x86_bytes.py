"""Products of bytes by floats, used only if they are sure to be rounded right. Other kernels: test_engines_x86.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from engine_calls import call_of
from tiny_nets.net import TwoInputs, tiny

from fxpasses.export.engines import quint8
from fxpasses.export.engines.reference import ReferenceKernel
from fxpasses.export.engines.x86.bytes_kernels import ByteMul
from fxpasses.export.engines.x86.engine import x86_kernel
from fxpasses.quantization.int8.int8_calls import Int8Call

PAIRS = tiny("pairs", lambda: TwoInputs(lambda net, x, y: x * y), (2, 256, 256), (2, 256, 256))


def rescaled(ratio: float) -> Int8Call:
    """Product whose step is ``ratio`` times that of its factors."""
    call = call_of(PAIRS, "mul")
    return replace(call, y=replace(call.y, scale=call.x[0].scale * call.x[1].scale * ratio))


@pytest.mark.parametrize(("ratio", "by_floats"), [(255.0, True), (1021 / 3, True), (256.0, False), (254.0, False)])
def test_every_product_of_two_bytes(ratio: float, by_floats: bool) -> None:
    """An even ratio has ties, which nothing but exact arithmetic rounds to even."""
    call = rescaled(ratio)
    assert (ByteMul.if_exact(call) is not None) is by_floats
    levels = torch.arange(256).to(torch.uint8)
    inputs = levels.view(1, 256, 1).expand(2, 256, 256), levels.expand(2, 256, 256)
    kernel = x86_kernel(call)
    assert kernel is not None and isinstance(kernel, ByteMul) is by_floats
    found = quint8.as_bytes(kernel(*(q.contiguous() for q in inputs)))
    assert torch.equal(found, ReferenceKernel(call)(*inputs))
