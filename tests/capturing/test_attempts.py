"""The ways of capture are tried in order; attention that would stay whole is one reason to try the next."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_graphs import operators_of
from tiny_nets.net import OneInput
from torch import fx, nn

from fxpasses.capturing import torch_export as exporting
from fxpasses.capturing.attempts import capture
from fxpasses.errors import GraphError
from fxpasses.graph.stages import CaptureMethod, graph_facts

ATTENDING: dict[str, Any] = {
    "a mask": lambda net, x: net.attend(x, x, x, attn_mask=torch.zeros(6, 6))[0],
    "another key and value": lambda net, x: net.attend(x[:, :2], x, x)[0],
    "tokens first": lambda net, x: net.tokens_first(*[x.transpose(0, 1)] * 3, need_weights=False)[0].transpose(0, 1),
    "weights that are used": lambda net, x: torch.cat(net.attend(x, x, x), 2),
}


def attending(body: Any) -> tuple[nn.Module, tuple[torch.Tensor]]:
    parts = {"attend": nn.MultiheadAttention(8, 2, batch_first=True), "tokens_first": nn.MultiheadAttention(8, 2)}
    return OneInput(body, **parts).eval(), (torch.randn(3, 6, 8),)


@pytest.mark.parametrize("case", ATTENDING)
def test_attention_that_no_pass_can_open_is_captured_through_export(case: str) -> None:
    model, inputs = attending(ATTENDING[case])
    gm = capture(model, inputs)
    assert graph_facts(gm).capture_method is CaptureMethod.EXPORT
    assert "attention" not in operators_of(gm) and operators_of(gm).count("linear") >= 2
    x = torch.randn(5, 6, 8)
    torch.testing.assert_close(gm(x), model(x))


def test_attention_that_export_cannot_open_either_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "export_graph", _refuse)
    gm = capture(*attending(ATTENDING["a mask"]))
    assert graph_facts(gm).capture_method is CaptureMethod.TRACE
    assert "attention" in operators_of(gm)


def test_attention_that_a_pass_opens_is_traced() -> None:
    gm = capture(*attending(lambda net, x: net.attend(x, x, x)[0]))
    assert graph_facts(gm).capture_method is CaptureMethod.TRACE


def _refuse(*_: object, **__: object) -> fx.GraphModule:
    raise GraphError("no export", why="the test says so", fix="none", step="capture")
