"""Multi-head attention is expanded into layers that int8 supports."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_graphs import captured, operators_of, outputs_of, quantize_net, skip_reasons
from tiny_nets.all_nets import TINY
from torch import Tensor, nn

import fxpasses
from fxpasses.graph.edit import operator_name
from fxpasses.graph.pass_runner import run_passes
from fxpasses.passes.attention import open_attention
from fxpasses.quantization.int8.int8_calls import find_float_results, find_int8_calls

WIDTH = 8


class Attends(nn.Module):
    """Model with one attention, called with the given settings."""

    def __init__(self, *calls: dict[str, Any], cross: bool = False, weights: bool = False, **settings: Any) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(WIDTH, 2, **{"batch_first": True} | settings)
        self.calls, self.cross, self.weights = calls or ({"need_weights": False},), cross, weights

    def forward(self, x: Tensor) -> Tensor:
        for call in self.calls:
            y, weights = self.mha(x, x + 1 if self.cross else x, x, **call)
            x = y + weights.mean() if self.weights else y
        return x


def opened(model: nn.Module, *sizes: int) -> tuple[torch.fx.GraphModule, Tensor]:
    x = torch.randn(sizes or (2, 6, WIDTH), generator=torch.Generator().manual_seed(0))
    return run_passes(fxpasses.capture(model.eval(), x, method="trace"), [open_attention]), x


@pytest.mark.parametrize("bias", [True, False])
def test_it_computes_the_same_for_any_batch_and_length(bias: bool) -> None:
    model = Attends(bias=bias)
    graph, _ = opened(model)
    assert operators_of(graph).count("linear") == 2
    assert "attention" not in operators_of(graph)
    for sizes in ((2, 6, WIDTH), (3, 9, WIDTH), (1, 1, WIDTH)):
        x = torch.randn(sizes)
        assert torch.allclose(outputs_of(graph, (x,))[0], outputs_of(model, (x,))[0], atol=1e-5)


def test_a_module_called_twice_is_opened_into_the_same_layers() -> None:
    model = Attends({"need_weights": False}, {"need_weights": True})
    graph, x = opened(model)
    linear = [str(n.target) for n in graph.graph.nodes if operator_name(graph, n) == "linear"]
    assert len(linear) == 4
    assert len(set(linear)) == 2
    assert torch.allclose(outputs_of(graph, (x,))[0], outputs_of(model, (x,))[0], atol=1e-5)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Attends(cross=True), "its query, key and value are not one tensor"),
        (Attends({}, weights=True), "its attention weights are used, too"),
        (Attends({"attn_mask": torch.zeros(6, 6), "need_weights": False}), "it is called with attn_mask"),
        (Attends(batch_first=False), "its input is not [batch, tokens, features]; batch_first=True makes it so"),
        (Attends(add_bias_kv=True), "it adds a key of its own"),
        (Attends(add_zero_attn=True), "it adds a key of its own"),
    ],
)
def test_what_is_not_opened(model: Attends, why: str) -> None:
    graph, _ = opened(model)
    assert list(skip_reasons(graph, "open_attention").values()) == [why]
    assert "attention" in operators_of(graph)


def test_a_hook_keeps_it_whole() -> None:
    model = Attends()
    model.mha.register_forward_hook(lambda module, inputs, output: output)
    graph, _ = opened(model)
    assert list(skip_reasons(graph, "open_attention").values()) == [
        "a forward hook sees its input or changes its output"
    ]


def test_its_projections_run_in_int8() -> None:
    graph = captured("multihead_attention")
    assert "attention" in operators_of(graph)
    int8 = quantize_net(TINY["multihead_attention"])
    between = [c.operator.name for c in find_int8_calls(int8).values()].count("linear")
    assert (between, len(find_float_results(int8))) == (1, 2), "a sum reads one, softmax and a norm the others"
