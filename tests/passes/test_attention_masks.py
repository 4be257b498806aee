"""Masks of attention without effect are dropped, others stay."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from tiny_graphs import capture_net, captured, changed_nodes, skip_reasons
from tiny_nets.net import OneInput, tiny
from torch import fx, nn

from fxpasses.graph.edit import operator_name
from fxpasses.graph.pass_runner import run_passes
from fxpasses.passes.attention_masks import drop_open_masks


def masks(gm: fx.GraphModule) -> list[Any]:
    attention = [n for n in gm.graph.nodes if operator_name(gm, n) == "scaled_dot_product_attention"]
    return [n.kwargs.get("attn_mask") for n in attention]


def test_masks_of_ones_and_added_zeros_go_and_a_causal_one_stays() -> None:
    gm = run_passes(captured("masked_attention"), [drop_open_masks])
    assert len(changed_nodes(gm, "drop_open_masks")) == 4  # two calls and their masks
    assert list(skip_reasons(gm, "drop_open_masks").values()) == ["its mask hides something"]
    first, second, third = masks(gm)
    assert first is None and third is None
    assert second is not None


def test_what_a_mask_is_expanded_to_does_not_matter() -> None:
    def body(net: Any, x: torch.Tensor) -> object:
        q = net.q(x)
        return F.scaled_dot_product_attention(q, q, q, net.open.expand(q.shape[0], -1, -1))

    net = OneInput(body, q=nn.Linear(8, 4), open=torch.ones(1, 6, 6, dtype=torch.bool))
    gm = run_passes(capture_net(tiny("net", lambda: net, (2, 6, 8))), [drop_open_masks])
    assert masks(gm) == [None]
    assert not any(operator_name(gm, n) == "expand" for n in gm.graph.nodes)


def test_a_mask_of_the_input_stays() -> None:
    def body(net: Any, x: torch.Tensor) -> object:
        q = net.q(x)
        return F.scaled_dot_product_attention(q, q, q, (q @ q.transpose(1, 2)) > 0)

    gm = capture_net(tiny("net", lambda: OneInput(body, q=nn.Linear(8, 4)), (2, 6, 8)))
    gm = run_passes(gm, [drop_open_masks])
    assert list(skip_reasons(gm, "drop_open_masks").values()) == ["its mask depends on the input"]
