"""Activations that are written out in arithmetic are found by what they compute, and called by their names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_graphs import changed_nodes, operators_of, skip_reasons
from tiny_nets.net import OneInput
from torch import Tensor, nn

import fxpasses
from fxpasses.capturing.attempts import Method
from fxpasses.graph.pass_runner import run_passes
from fxpasses.passes.written_activations import call_written_activations

ROOT = math.sqrt(2 / math.pi)
X = (2, 4, 9, 7)

WRITTEN: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "over six": ("hardswish", lambda x: x * F.relu6(x + 3) / 6),
    "times a sixth": ("hardswish", lambda x: x * (F.relu6(x + 3) * (1 / 6))),
    "a gate times": ("hardswish", lambda x: F.hardtanh(x + 3, 0, 6).div(6).mul(x)),
    "a sixth as a decimal": ("hardswish", lambda x: torch.clamp(3 + x, 0, 6) * 0.16666667 * x),
    "of a slope": ("hardsigmoid", lambda x: torch.clamp(x / 6 + 0.5, 0, 1)),
    "of a named gate": ("hardswish", lambda x: x * F.hardsigmoid(x)),
    "times its sigmoid": ("silu", lambda x: x * torch.sigmoid(x)),
    "over one and": ("silu", lambda x: x / (1 + torch.exp(-x))),
    "one over": ("sigmoid", lambda x: 1 / (1 + (-x).exp())),
    "as BERT has it": ("gelu", lambda x: x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))),
    "as GPT has it": ("gelu", lambda x: 0.5 * x * (1.0 + torch.tanh(ROOT * (x + 0.044715 * torch.pow(x, 3.0))))),
    "as BLOOM has it": ("gelu", lambda x: x * 0.5 * (1.0 + torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x)))),
    "of a softplus": ("mish", lambda x: x * torch.tanh(F.softplus(x))),
    "of logarithms": ("mish", lambda x: x * torch.tanh(torch.log1p(torch.exp(x)))),
    "the larger": ("leaky_relu", lambda x: torch.max(x, 0.1 * x)),
    "by a condition": ("leaky_relu", lambda x: torch.where(x > 0, x, 0.2 * x)),
    "the positive ones": ("relu", lambda x: x * (x > 0)),
    "by its size": ("relu", lambda x: (x + x.abs()) / 2),
    "of two ReLUs": ("clip", lambda x: F.relu(x) - F.relu(x - 6)),
    "of two tensors": ("clip", lambda x: torch.min(torch.max(x, torch.tensor(-1.0)), torch.tensor(1.0))),
    "of two ReLUs far apart": ("clip", lambda x: F.relu(x) - F.relu(x - 500)),
    "with a bound far out": ("clip", lambda x: torch.min(F.relu(x), torch.tensor(2e4))),
    "below zero": ("elu", lambda x: F.relu(x) + torch.clamp(0.5 * (x.exp() - 1), max=0)),
    "of exponentials": ("tanh", lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())),
}


def net(body: Callable[[Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    return OneInput(lambda n, x: n.last(body(n.first(x))), first=nn.Conv2d(4, 4, 3), last=nn.Conv2d(4, 3, 1)).eval()


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize("case", WRITTEN)
def test_it_is_called_by_its_name(case: str, method: Method) -> None:
    name, body = WRITTEN[case]
    model, x = net(body), 4 * torch.randn(X)
    graph = run_passes(fxpasses.capture(model, x, method=method), [call_written_activations])
    assert operators_of(graph) == ["conv2d", name, "conv2d"]
    assert len(graph.graph.nodes) == 5
    for scale in (1, 1e3):
        expected, found = model(scale * x), graph(scale * x)
        defined = expected.isfinite()  # a power of e may be infinite, where tanh is not
        torch.testing.assert_close(found[defined], expected[defined], rtol=1e-5, atol=1e-6)


def test_a_fast_gelu_is_a_silu_between_scaled_layers() -> None:
    model, x = net(lambda x: x * torch.sigmoid(1.702 * x)), torch.randn(X)
    graph = fxpasses.fuse(fxpasses.capture(model, x))
    assert operators_of(graph) == ["conv2d", "silu", "conv2d"]
    torch.testing.assert_close(graph(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["over six", "as GPT has it", "times its sigmoid"])
def test_integers_are_those_of_the_function(case: str) -> None:
    name, body = WRITTEN[case]
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "hardswish": F.hardswish, "gelu": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
    }  # fmt: skip
    batches = [torch.randn(X) for _ in range(3)]
    written, called = (fxpasses.quantize(net(f), batches[0], batches) for f in (body, functions[name]))
    assert operators_of(written) == operators_of(called)
    torch.testing.assert_close(written(batches[1]), called(batches[1]), rtol=0, atol=0)


STAYS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "unknown": (lambda x: F.relu(x + 1) ** 2, "3 steps from first on compute no activation that is known"),
    "another constant": (lambda x: x * F.relu6(x + 2.9) / 6, "4 steps from first on compute no activation"),
    "a step is read": (lambda x: (lambda gate: x * gate + gate.flip(3))(torch.sigmoid(x)), "flip reads sigmoid"),
    "bent far out": (lambda x: F.relu(x) + F.relu(x - 2e5), "compute no activation that is known"),
    "undefined": (lambda x: x * torch.sqrt(x.abs() - 1).sigmoid(), "compute no activation that is known"),
}


@pytest.mark.parametrize("case", STAYS)
def test_what_stays(case: str) -> None:
    body, why = STAYS[case]
    model, x = net(body), torch.randn(X)
    graph = run_passes(fxpasses.capture(model, x), [call_written_activations])
    assert not changed_nodes(graph, "call_written_activations")
    assert any(why in reason for reason in skip_reasons(graph, "call_written_activations").values())


NO_FUNCTION: dict[str, Callable[[Tensor], Tensor]] = {
    "an affine map": lambda x: (x + 1) * 2 - 3,
    "of two tensors": lambda x: x * torch.sigmoid(x.flip(3)),
    "of a mean": lambda x: x * torch.sigmoid(x.mean(1, keepdim=True)),
    "of clamps alone": lambda x: F.relu6(F.relu(x)),
}


@pytest.mark.parametrize("case", NO_FUNCTION)
def test_other_arithmetic_is_no_candidate(case: str) -> None:
    graph = run_passes(fxpasses.capture(net(NO_FUNCTION[case]), torch.randn(X)), [call_written_activations])
    assert not changed_nodes(graph, "call_written_activations")
    assert not skip_reasons(graph, "call_written_activations")


def test_one_written_in_another() -> None:
    def gate(x: Tensor) -> Tensor:
        return F.relu6(x + 3) / 6

    model, x = net(lambda x: gate(gate(x) * torch.tensor(2.0))), torch.randn(X)
    graph = run_passes(fxpasses.capture(model, x), [call_written_activations])
    assert operators_of(graph) == ["conv2d", "hardsigmoid", "mul", "hardsigmoid", "conv2d"]
    torch.testing.assert_close(graph(x), model(x))


class Own(nn.Module):
    """The activation with the constant of a buffer, as some repositories have it."""

    six: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 3, 1)
        self.register_buffer("six", torch.tensor(6.0))

    def forward(self, x: Any) -> Tensor:
        y = self.first(x)
        found: Tensor = self.last(y * F.relu6(y + 3) / self.six)
        return found


def test_a_constant_may_be_a_buffer_and_leaves_with_its_steps() -> None:
    graph = run_passes(fxpasses.capture(Own().eval(), torch.randn(X)), [call_written_activations])
    assert operators_of(graph) == ["conv2d", "hardswish", "conv2d"]
    assert "six" not in dict(graph.named_buffers())
