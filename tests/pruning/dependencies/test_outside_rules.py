"""Channels pass PyTorch's functions outside the vocabulary: removing them is exact, or they stay with a reason."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from channel_removals import RELATIVE_TOLERANCE, random_removal, relative_difference
from torch import Tensor, nn

import fxpasses
from fxpasses.graph.operators import torch_name
from fxpasses.pruning import find_dependencies
from fxpasses.pruning.dependencies.outside_rules import RULES, rule_outside

Function = Callable[[Tensor], Tensor]

GRID = torch.rand(1, 5, 5, 2) * 2 - 1


class Between(nn.Module):
    """A function between two convolutions, or before a linear layer if it leaves no space."""

    def __init__(self, function: Function, method: str = "auto") -> None:
        super().__init__()
        self.one, self.function = nn.Conv2d(5, 8, 3), function
        with torch.no_grad():
            made = function(torch.randn(2, 8, 6, 4))
        self.two: nn.Module = nn.Conv2d(made.shape[1], 6, 3) if made.dim() == 4 else nn.Linear(made.shape[1], 6)
        self.gate = nn.Conv2d(5, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.function(self.one(x)))
        return y


def _statistics(x: Tensor) -> Tensor:
    var, mean = torch.var_mean(x, (2, 3))
    return torch.cat((var, mean), 1)


PASSED: dict[str, Function] = {
    "round": lambda x: torch.round(x * 4) / 4,
    "floor as a method": lambda x: x.floor(),
    "a cast and back": lambda x: x.to(torch.float64).sign().float() + x,
    "maximum": lambda x: torch.maximum(x, x * 0.5),
    "torch.max of two tensors": lambda x: torch.max(x, -x),
    "where": lambda x: torch.where(x > 0.1, x, 0.1 * x),
    "masked_fill": lambda x: x.masked_fill(~(x < 0.3), -2.0),
    "comparison": lambda x: x * (x > x.mean((2, 3), keepdim=True)).to(x.dtype),
    "pow": lambda x: x.abs() ** 1.5,
    "pow of tensors": lambda x: torch.pow(x.abs() + 0.5, x.tanh()),
    "one minus": lambda x: (1 - x.sigmoid()) * x + 2 / (x.abs() + 1),
    "lerp": lambda x: torch.lerp(x, x.tanh(), 0.3),
    "max in space": lambda x: x.flatten(2).max(-1)[0],
    "values of max": lambda x: x.max(-1, keepdim=True).values.flatten(2).amax(2),
    "amax in space": lambda x: torch.amax(x, dim=(2, 3)),
    "var_mean": _statistics,
    "std": lambda x: x.std(dim=(2, 3)),
    "normalized rows": lambda x: F.normalize(x, dim=3),
    "sum": lambda x: x.sum((-2, -1)),
    "norm in space": lambda x: torch.linalg.vector_norm(x, dim=(2, 3)),
    "logsumexp": lambda x: torch.logsumexp(x, (2, 3)),
    "adaptive max pool": lambda x: F.adaptive_max_pool2d(x, (4, 3)),
    "LPPool2d": nn.LPPool2d(2, 2, stride=1),
    "glu": lambda x: F.glu(x, 1),
    "GLU": nn.GLU(1),
    "sampled": lambda x: F.grid_sample(x, GRID.to(x.dtype).expand(x.shape[0], -1, -1, -1), align_corners=False),
    "shrink": nn.Tanhshrink(),
    "clamp between tensors": lambda x: torch.clamp(x, min=x.mean((2, 3), keepdim=True)),
}
STAY: dict[str, tuple[Function, str]] = {
    "sum over channels": (lambda x: x * x.sum(1, keepdim=True), "reduces over them"),
    "max over channels": (lambda x: x - x.max(1, keepdim=True)[0], "reduces over them"),
    "norm of channels": (lambda x: F.normalize(x, dim=1), "over them"),
    "std of everything": (lambda x: x / x.std(), "reduces all dimensions at once"),
    "RMSNorm": (lambda x: F.rms_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2), "normalises over them"),
    "cumsum": (lambda x: torch.cumsum(x, 1), "no rule says how it treats them"),
    "a mask over channels": (
        lambda x: x.masked_fill(torch.arange(8).view(8, 1, 1) > 5, 0.0),
        "with what is no channel",
    ),
}


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize("case", PASSED)
def test_what_channels_pass(case: str, method: Any) -> None:
    graph = fxpasses.capture(Between(PASSED[case]).eval(), torch.randn(2, 5, 8, 6), method=method)
    assert "one" not in find_dependencies(graph).frozen
    for seed, share in enumerate((0.3, 0.7)):
        removal = random_removal(graph, share, seed)
        assert len(removal.classes)
        assert relative_difference(removal, (torch.randn(3, 5, 8, 6),)) < RELATIVE_TOLERANCE


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize("case", STAY)
def test_what_keeps_channels(case: str, method: Any) -> None:
    function, why = STAY[case]
    graph = fxpasses.capture(Between(function).eval(), torch.randn(2, 5, 8, 6), method=method)
    assert why in str(find_dependencies(graph).frozen["one"])


def test_several_tensors_read_as_one_keep_the_channels_before_them() -> None:
    model = Between(lambda x: torch.cat(torch.var_mean(x, (2, 3)), 1)).eval()
    graph = fxpasses.capture(model, torch.randn(2, 5, 8, 6), method="trace")
    assert "no rule says how it treats them" in str(find_dependencies(graph).frozen["one"])


def test_a_users_function_of_the_same_name_is_another() -> None:
    def round(x: Tensor) -> Tensor:
        return x.cumsum(1)

    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(
        graph.call_function(operator.add, (graph.call_function(round, (x,)), graph.call_function(torch.round, (x,))))
    )
    gm = torch.fx.GraphModule(nn.Module(), graph)
    assert [torch_name(gm, node) for node in graph.nodes] == [None, None, "round", "add", None]
    assert [rule_outside(gm, node) is not None for node in graph.nodes] == [False, False, True, True, False]


def test_every_name_is_one_of_pytorchs() -> None:
    places = (torch, F, operator, torch.special, nn, Tensor, torch.ops.aten)
    assert [name for name in RULES if not any(hasattr(place, name) for place in places)] == []
