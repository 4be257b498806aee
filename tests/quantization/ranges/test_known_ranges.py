"""Known ranges: halved where values use a small part of them, and left alone where they use more."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import fxpasses
from fxpasses.graph.edit import operator_of
from fxpasses.quantization.int8.int8_calls import qparams_of
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.ranges.known_ranges import (
    HEADROOM,
    MOST_HALVINGS,
    LargestValues,
    find_known,
    narrowed,
    take_out_known,
)
from fxpasses.sqnr import sqnr_db

SIGMOID, TANH = (0.0, 255 / 256), (-1.0, 127 / 128)


@pytest.mark.parametrize(
    ("known", "seen", "halvings"),
    [
        (SIGMOID, (0.1, 0.9), 0),
        (SIGMOID, (0.0, 0.41), 0),
        (SIGMOID, (0.0, 0.39), 1),
        (SIGMOID, (0.0, 0.01), 6),
        (TANH, (-0.9, 0.01), 0),
        (TANH, (-0.01, 0.39), 1),
        (TANH, (0.0, 0.0), MOST_HALVINGS),
        (SIGMOID, (0.0, math.nan), 0),
        (SIGMOID, (0.0, math.inf), 0),
    ],
)
def test_halvings(known: tuple[float, float], seen: tuple[float, float], halvings: int) -> None:
    assert narrowed(known, seen) == (known[0] / 2**halvings, known[1] / 2**halvings)


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_values_fit_with_headroom_and_no_smaller_range_would_do(low: float, high: float) -> None:
    found = narrowed(TANH, (-low, high))
    if found != TANH:
        assert max(low, high / TANH[1]) * HEADROOM <= -found[0]
    if found[0] != -(2.0**-MOST_HALVINGS):
        assert max(low, high / TANH[1]) * HEADROOM > -found[0] / 2


def test_values_of_all_batches_count() -> None:
    watcher = LargestValues()
    assert watcher.range is None
    for batch in (torch.tensor([0.5, -0.25]), torch.empty(0), torch.tensor([0.125, 0.75])):
        assert watcher(batch) is batch
    assert watcher.range == (-0.25, 0.75)


class Gated(nn.Module):
    """A convolution, and a gate whose values lie near ``sigmoid(bias)``, in front of another."""

    def __init__(self, bias: float, gate: nn.Module) -> None:
        super().__init__()
        self.first, self.gate, self.last = nn.Conv2d(3, 4, 3), gate, nn.Conv2d(4, 2, 1, bias=False)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.gate(self.first(x) + self.bias))
        return y


def _quantized(bias: float, gate: nn.Module) -> tuple[float, float]:
    """Scale of the gate's output, and SQNR of the model's output."""
    torch.manual_seed(0)
    model, x = Gated(bias, gate).eval(), torch.randn(8, 3, 8, 8)
    with torch.no_grad():
        int8 = fxpasses.quantize(model, x[:2], [x], fxpasses.QuantConfig(target="x86"))
        apart = model(x) - int8(x)
        sqnr = sqnr_db(float(model(x).square().sum()), float(apart.square().sum()))
    gates = [n for n in int8.graph.nodes if n.target is ops.quantize and _fixed(int8, n.all_input_nodes[0])]
    assert sqnr is not None and len(gates) == 1
    return qparams_of(gates[0]).scale, sqnr


def _fixed(gm: torch.fx.GraphModule, node: torch.fx.Node) -> bool:
    operator = operator_of(gm, node)
    return operator is not None and operator.fixed_range is not None


def test_a_gate_of_small_values_keeps_its_levels() -> None:
    scale, sqnr = _quantized(-6.0, nn.Sigmoid())
    assert scale <= 2.0**-8 / 16, "sigmoid(-6) is 0.0025"
    assert sqnr > 30, "with five levels it was 4 dB"


@pytest.mark.parametrize(
    ("gate", "scale"), [(nn.Sigmoid(), 2.0**-8), (nn.Tanh(), 2.0**-7), (nn.Hardsigmoid(), 2.0**-8)]
)
def test_a_gate_that_uses_its_range_keeps_it(gate: nn.Module, scale: float) -> None:
    assert _quantized(0.5, gate)[0] == scale


def test_without_data_the_range_is_the_whole_one() -> None:
    graph = fxpasses.fuse(fxpasses.capture(Gated(-6.0, nn.Sigmoid()).eval(), torch.randn(2, 3, 8, 8)))
    observed = fxpasses.observe(graph)
    assert len(find_known(observed)) == 1
    assert take_out_known(observed) == {} and find_known(observed) == []
