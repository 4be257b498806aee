"""Half precision: lowered layers, layers that stay float32, and the distance of the outputs from float."""

from __future__ import annotations

import pytest
import torch
from lowered_nets import changed, images, mixed, reasons, sqnr_db
from torch import nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.precision.half import rounded_to_half, to_half

LEAST_DB = {"fp16": 50.0, "bf16": 32.0}
"""Least SQNR: relative errors of 2**-11 and 2**-8 give 71 and 53 dB for one rounding; four layers stay well above."""


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_float32_in_and_out_and_close(precision: str) -> None:
    before = {name: p.clone() for name, p in mixed().named_parameters()}
    lowered = to_half(mixed(), precision)
    with torch.no_grad():
        expected, found = mixed()(images()), lowered(images())
    assert found.dtype is torch.float32
    assert LEAST_DB[precision] < sqnr_db(expected, found) < 90
    assert stage_of(lowered) is Stage.LOWERED
    assert all(torch.equal(p, before[name]) and p.dtype is torch.float32 for name, p in mixed().named_parameters())
    assert changed(lowered) == ["conv", "first", "last"]
    assert "need float32" in reasons(lowered)["norm"]


def test_layers_kept_in_float() -> None:
    lowered = to_half(mixed(), "fp16", ["first"])
    assert reasons(lowered)["first"] == "asked for by 'first'"
    assert lowered.get_submodule("first").weight.dtype is torch.float32
    assert lowered.get_submodule("last").weight.dtype is torch.float16


def test_a_weight_beyond_the_range_stays_float() -> None:
    first = nn.Linear(3, 2)
    net = nn.Sequential(first, nn.Linear(2, 2)).eval()
    with torch.no_grad():
        first.weight[0, 0] = 1e5
    graph = fxpasses.fuse(fxpasses.capture(net, torch.randn(2, 3)))
    assert "beyond 65504" in next(iter(reasons(to_half(graph, "fp16")).values()))
    assert reasons(to_half(graph, "bf16")) == {}


def test_rounded_weights_in_float32() -> None:
    twin = rounded_to_half(mixed(), to_half(mixed(), "bf16"))
    weight = twin.get_submodule("first").weight
    assert isinstance(weight, torch.Tensor) and weight.dtype is torch.float32
    assert torch.equal(weight, weight.bfloat16().float())
    assert not torch.equal(weight, mixed().get_parameter("first.weight"))


def test_unknown_precision() -> None:
    with pytest.raises(InputError, match="it is no half precision"):
        to_half(mixed(), "fp8")


def test_what_gives_no_floats_cannot_be_kept() -> None:
    class Classes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.argmax(x, 1)

    graph = fxpasses.fuse(fxpasses.capture(Classes().eval(), torch.randn(2, 4)))
    name = next(n.name for n in graph.graph.nodes if n.op.startswith("call_"))
    with pytest.raises(GraphError, match="cannot stay in float32"):
        to_half(graph, "fp16", [name])
