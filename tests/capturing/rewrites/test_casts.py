"""Casts without effect are dropped, others stay, and the type of an integer tensor is never taken over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_graphs import fresh_inputs, outputs_of, quantize_net
from tiny_nets.net import IMAGE, OneInput, tiny
from torch import Tensor, nn

import fxpasses
from fxpasses.capturing.attempts import capture
from fxpasses.capturing.checks import require_equal

IMAGES = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))

NEEDLESS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "to": lambda net, x: net.conv(x.to(torch.float32)).relu(),
    "to_dtype": lambda net, x: net.conv(x.to(dtype=torch.float32, non_blocking=True)).relu(),
    "to_dtype_of": lambda net, x: net.conv(x).to(x.dtype).relu(),
    "type_as": lambda net, x: net.conv(x).type_as(x).relu(),
    "float": lambda net, x: net.conv(x).float().relu(),
}
NEEDED: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "integers": lambda net, x: net.conv((x > 0).to(x.dtype)).relu(),
    "to_double": lambda net, x: net.conv(x).to(torch.float64).relu().float(),
    "to_a_tensor": lambda net, x: net.conv(x).to(x).relu(),
    "copy": lambda net, x: net.conv(x).to(torch.float32, copy=True).relu(),
}
CASTS = ("to", "type_as", "float", torch.ops.aten.to.dtype, torch.ops.aten._to_copy.default)


def casts_in(body: Callable[[Any, Tensor], Tensor], method: Any = "trace") -> int:
    model = OneInput(body, conv=nn.Conv2d(5, 5, 3)).eval()
    gm = capture(model, (IMAGES,), method=method)
    require_equal(gm, (IMAGES,), model(IMAGES))
    return sum(node.target in CASTS and node.op != "placeholder" for node in gm.graph.nodes)


@pytest.mark.parametrize("name", NEEDLESS)
@pytest.mark.parametrize("method", ["trace", "export"])
def test_needless_casts_are_dropped(name: str, method: str) -> None:
    assert casts_in(NEEDLESS[name], method) == 0


@pytest.mark.parametrize("name", NEEDED)
def test_others_stay(name: str) -> None:
    assert casts_in(NEEDED[name]) > 0


class Named(nn.Module):
    """Model whose input and submodule have the names of methods."""

    def __init__(self) -> None:
        super().__init__()
        self.type_as = nn.Conv2d(5, 5, 3)

    def forward(self, to: Tensor) -> Tensor:
        y: Tensor = self.type_as(to)
        return y


def test_names_are_not_casts() -> None:
    gm = capture(Named().eval(), (IMAGES,))
    assert [n.op for n in gm.graph.nodes] == ["placeholder", "call_module", "output"]


class Mask(nn.Module):
    """Model that casts a mask to the type of a tensor that is integer once quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(5, 5, 3), nn.Conv2d(5, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x).relu()
        gate = (x.mean(dim=(1, 2, 3)) > 0).to(y.dtype)
        z: Tensor = self.b(y) * gate.reshape(-1, 1, 1, 1)
        return z


@pytest.mark.parametrize("engine", [None, "reference"])
def test_an_integer_tensor_does_not_lend_its_type(engine: str | None, tmp_path: Path) -> None:
    net = tiny("mask", Mask, IMAGE)
    graph, inputs = quantize_net(net), fresh_inputs(net, 3)
    (expected, *_) = outputs_of(graph, inputs)
    (found, *_) = outputs_of(fxpasses.export.to_torch(graph, engine), inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert fxpasses.export.parity(graph, [inputs]).max_lsb_at_any_node == 0


class _Assigning(nn.Module):
    """Parts of a tensor are written with a number, a tensor, a broadcast tensor, and one of another type."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y[:, :2] = 0
        y[:, 2:4] = x[:, :2] * 2
        y[:, 4:6] = x[:, :1]
        y[:, 6:] = (x[:, :2] > 0).double()
        made: Tensor = y.relu()
        return made


def test_assigned_parts_have_gradients_and_no_copies() -> None:
    net, x = _Assigning().eval(), torch.randn(3, 6)
    graph = fxpasses.capture(net, x)
    assert not [n for n in graph.graph.nodes if n.target is torch.ops.aten.copy.default]
    assert torch.equal(graph(x), net(x))
    assert torch.equal(graph(x[:1]), net(x[:1]))
    given = x.clone().requires_grad_()
    graph(given).sum().backward()
    expected = x.clone().requires_grad_()
    net(expected).sum().backward()
    assert torch.equal(given.grad, expected.grad)  # type: ignore[arg-type]  # both have one
