"""Bodies of nets, and the plan of their int8 operators."""

from __future__ import annotations

from collections.abc import Callable

from tiny_graphs import capture_net, fused
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.plan import Plan, plan_quantization

Body = Callable[..., object]


READ_IN_FLOAT = "what reads it computes in float: int8 would cost accuracy and save nothing"


def plan_of(name: str, *overrides: Override, float_results: bool = True) -> tuple[fx.GraphModule, Plan]:
    gm = fused(name)
    return gm, plan_quantization(gm, QuantConfig(overrides=overrides, float_results=float_results))


def plan_body(body: Body, **parts: nn.Module | Tensor) -> tuple[fx.GraphModule, Plan]:
    """The plan of ``body(net, x)`` with a 5->8 convolution ``net.a`` and ``net.b`` that keep the size."""
    net = tiny("planned", lambda: OneInput(body, a=conv(padding=1), b=conv(padding=1), **parts))
    gm = fxpasses.fuse(capture_net(net))
    return gm, plan_quantization(gm, QuantConfig())
