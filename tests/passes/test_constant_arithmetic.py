"""Arithmetic with constants goes into the layer before or behind it, if it is one number per channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_graphs import changed_nodes, operators_of, skip_reasons
from tiny_nets.net import OneInput
from torch import Tensor, nn

import fxpasses
from fxpasses.graph.pass_runner import run_passes
from fxpasses.passes.constant_arithmetic import fold_constants_ahead, fold_constants_behind

Body = Callable[[Any, Tensor], Tensor]
X = (2, 4, 9, 7)

BEHIND: dict[str, tuple[Body, int]] = {
    "times a number": (lambda n, x: n.conv(x) * 0.2, 1),
    "a number times": (lambda n, x: 0.2 * n.conv(x) + 1, 2),
    "minus, from, over": (lambda n, x: (3 - n.conv(x) - 0.5) / 4, 3),
    "a parameter per channel": (lambda n, x: n.gamma * n.conv(x), 1),
    "a buffer of one number": (lambda n, x: n.conv(x) - n.one, 1),
    "of a transposed convolution": (lambda n, x: n.up(x) * n.gamma, 1),
    "of the last dimension of a linear layer": (lambda n, x: n.linear(x.permute(0, 2, 3, 1)) * n.scale + n.scale, 2),
    "behind a layer whose output is permuted": (
        lambda n, x: n.gamma * n.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).transpose(2, 3),
        1,
    ),
    "behind a BatchNorm": (lambda n, x: n.norm(n.conv(x)) * n.gamma, 1),
}
AHEAD: dict[str, tuple[Body, int]] = {
    "pixels over 255": (lambda n, x: n.conv(x / 255), 1),
    "two in a row": (lambda n, x: n.plain(2 * x - 1), 2),
    "one minus": (lambda n, x: n.plain(1 - x.sigmoid()), 1),
    "mean and deviation": (lambda n, x: n.plain((x - n.mean) / n.deviation), 2),
    "in front of a linear layer": (lambda n, x: n.linear(x.mean((2, 3)) * n.row), 1),
    "in front of a reflected border": (lambda n, x: n.plain(F.pad(x * 3 + 1, (1, 1, 1, 1), mode="reflect")), 2),
}
STAY: dict[str, tuple[Body, str]] = {
    "a shift in front of zeros": (lambda n, x: n.conv(x + 1), "conv pads with zeros after the shift"),
    "a map of positions": (lambda n, x: n.conv(x) * n.map, "its constant is not one number per channel of conv"),
    "a border of the features": (
        lambda n, x: n.wide(F.pad(x * 2, (1, 1, 0, 0), mode="reflect")),
        "is no convolution or linear layer",
    ),
    "two readers": (lambda n, x: (lambda y: y * 2 + y)(n.conv(x)), "conv has other readers: add"),
    "called twice": (lambda n, x: n.plain(n.plain(x) * 2), "the layer of plain is called at 2 places"),
    "behind an activation": (lambda n, x: n.conv(x).relu() * 2, "which is no convolution or linear layer"),
    "over zero": (lambda n, x: n.conv(x) / n.nothing, "or not finite"),
}


def net(body: Body) -> nn.Module:
    torch.manual_seed(0)
    return OneInput(
        body,
        conv=nn.Conv2d(4, 4, 3, padding=1),
        plain=nn.Conv2d(4, 4, 3),
        up=nn.ConvTranspose2d(4, 4, 2, 2, groups=2),
        linear=nn.Linear(4, 4),
        norm=nn.BatchNorm2d(4),
        wide=nn.Linear(9, 4),
        gamma=nn.Parameter(torch.randn(4, 1, 1)),
        scale=nn.Parameter(torch.randn(4)),
        row=nn.Parameter(torch.randn(1, 4)),
        map=nn.Parameter(torch.randn(1, 9, 7)),
        one=torch.tensor(1.5),
        nothing=torch.tensor(0.0),
        mean=torch.rand(1, 4, 1, 1),
        deviation=torch.rand(1, 4, 1, 1) + 0.5,
    ).eval()


@pytest.mark.parametrize("method", ["trace", "export"])
@pytest.mark.parametrize("case", [*BEHIND, *AHEAD])
def test_folded(case: str, method: Any) -> None:
    body, count = (BEHIND | AHEAD)[case]
    model, x = net(body).double(), torch.randn(X, dtype=torch.float64)
    graph = fxpasses.capture(model, x, method=method)
    fused = fxpasses.fuse(graph)
    folded = changed_nodes(fused, "fold_constants_behind") + changed_nodes(fused, "fold_constants_ahead")
    assert len(folded) == count
    assert not {"add", "sub", "mul", "div"} & set(operators_of(fused))
    assert not [n for n in fused.graph.nodes if n.op == "get_attr"]
    torch.testing.assert_close(fused(x), model(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(graph(x), model(x), rtol=0, atol=0)


@pytest.mark.parametrize("case", STAY)
def test_what_stays(case: str) -> None:
    body, why = STAY[case]
    graph = run_passes(fxpasses.capture(net(body), torch.randn(X)), [fold_constants_behind, fold_constants_ahead])
    passes = ("fold_constants_behind", "fold_constants_ahead")
    reasons = [reason for name in passes for reason in skip_reasons(graph, name).values()]
    assert any(why in reason for reason in reasons), reasons


def test_a_scaled_residual_is_int8_throughout(tmp_path: Any) -> None:
    """Networks for super-resolution scale each branch by 0.1 or 0.2."""
    model = net(lambda n, x: n.plain(F.relu(n.conv(x) * 0.2 + x)))
    x = torch.randn(X)
    int8 = fxpasses.quantize(model, x, [x])
    assert "mul" not in operators_of(int8)
    report = fxpasses.export.audit(fxpasses.export.to_onnx(int8, tmp_path / "net.onnx"))
    assert [op.op for op in report.float_light + report.float_heavy] == []
