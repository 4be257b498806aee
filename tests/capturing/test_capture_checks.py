"""Outputs are equal up to rounding of their largest value; differences are reported."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_graphs import operators_of
from tiny_nets.all_nets import TINY
from torch import Tensor, fx, nn

from fxpasses.capturing.attempts import capture
from fxpasses.capturing.checks import (
    CAPTURE_TOLERANCE,
    DifferentGraph,
    require_equal,
    require_equal_for_one,
    require_layers_in_sight,
    require_same_twice,
    why_different,
)
from fxpasses.errors import GraphError
from fxpasses.passes.fusion import fuse

X = torch.tensor([100.0, 1.0, math.nan, math.inf, -math.inf])


@pytest.mark.parametrize("other", [X, X + torch.tensor([0.0, 90 * CAPTURE_TOLERANCE, 0, 0, 0])])
def test_rounding_of_the_largest_value_is_no_difference(other: Tensor) -> None:
    assert why_different(X, other) is None


@pytest.mark.parametrize(
    ("found", "expected", "why"),
    [
        (torch.zeros(2), torch.tensor([1.0, 2e-5]), "outputs differ by 1"),
        (torch.tensor([1.0, 3e-5]), torch.tensor([1.0, 0.0]), "outputs differ by 3e-05"),
        (torch.tensor([math.nan]), torch.tensor([1.0]), "outputs differ by nan"),
        (torch.tensor([math.inf]), torch.tensor([-math.inf]), "outputs differ by inf"),
        (torch.zeros(2), torch.zeros(2, 1), r"float32 \(2,\), of the model torch.float32 \(2, 1\)"),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64), "float32 .* of the model torch.float64"),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "whole numbers differ"),
        (torch.tensor([True]), torch.tensor([False]), "whole numbers differ"),
        (3, 4, "an output is 3, of the model 4"),
        (None, torch.zeros(1), "an output is None"),
    ],
)
def test_anything_else_is(found: object, expected: object, why: str) -> None:
    import re

    assert re.search(why, why_different(found, expected) or "")


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def test_a_graph_that_computes_something_else_is_refused() -> None:
    gm, x = fx.symbolic_trace(Twice()), torch.ones(2, 3)
    require_equal(gm, (x,), x * 2)
    with pytest.raises(
        DifferentGraph, match=r"Twice computes something else than the model\n  why: outputs differ by 1"
    ):
        require_equal(gm, (x,), x * 3)
    with pytest.raises(DifferentGraph, match="it returns 1 values, the model 2"):
        require_equal(gm, (x,), (x, x))
    with pytest.raises(DifferentGraph, match="it does not run: TypeError"):
        require_equal(gm, ("text", "more"), x)


def test_a_function_that_hides_a_layer_is_refused() -> None:
    net = TINY["wrapped_layers"].build()
    gm = fx.symbolic_trace(net)
    with pytest.raises(
        GraphError, match=r"gated_linear[\s\S]*hides the layer a, which would stay[\s\S]*method='export'"
    ):
        require_layers_in_sight(net, gm)
    other = TINY["conv_bn_relu"].build()
    require_layers_in_sight(other, fx.symbolic_trace(other))


class Choosy(nn.Module):
    """Model that computes something else for a batch of one."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.shape[0] > 1 else x


class NotOne(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] > 1
        return x * 2


def test_a_batch_of_one_is_compared_where_the_model_takes_it() -> None:
    gm, x = fx.symbolic_trace(Twice()), torch.ones(2, 3)
    require_equal_for_one(Twice(), gm, (x,))
    require_equal_for_one(NotOne(), gm, (x,))
    require_equal_for_one(Choosy(), gm, (x[:1],))  # the example is a batch of one: compared already
    require_equal_for_one(Choosy(), gm, (3,))
    with pytest.raises(DifferentGraph, match="outputs differ by 1"):
        require_equal_for_one(Choosy(), gm, (x,))


def test_a_model_that_repeats_itself_passes() -> None:
    x = torch.ones(2, 3)
    require_same_twice(Twice(), (x,), x * 2)
    with pytest.raises(GraphError, match="it is random, or keeps state between calls"):
        require_same_twice(nn.Dropout().train(), (torch.ones(100),), torch.ones(100))


class Adding(nn.Module):
    """A residual block as torch.ao.quantization wants it, with an addition that is a module."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.conv, self.sum = nn.Conv2d(3, 3, 3, padding=1), torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant(x)
        found: Tensor = self.dequant(self.sum.add_relu(self.conv(x), x))
        return found


@pytest.mark.filterwarnings("ignore")
def test_a_float_model_made_for_torch_ao_is_captured() -> None:
    model, x = Adding().eval(), torch.randn(2, 3, 5, 4)
    gm = capture(model, x)
    assert operators_of(fuse(gm)) == ["conv2d", "add", "relu"]
    assert torch.equal(gm(x), model(x))


def test_a_program_of_torch_export_is_captured() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval(), torch.randn(2, 3, 5, 4)
    program = torch.export.export(model, (x,)).module()
    assert program.training, "it says so, and its BatchNorm computes as in deployment"
    gm = capture(program, x)
    assert operators_of(gm) == ["conv2d", "batch_norm", "relu"]
    torch.testing.assert_close(gm(x), model(x))
