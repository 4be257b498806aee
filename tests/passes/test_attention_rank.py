"""Attention over windows becomes attention over more samples if nothing depends on the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from odd_nets import ODD
from tiny_graphs import capture_net, captured, changed_nodes, skip_reasons
from tiny_nets.net import OneInput
from torch import nn

import fxpasses
from fxpasses.graph.pass_runner import run_passes
from fxpasses.graph.shapes import shape_of
from fxpasses.passes.attention_rank import give_attention_a_head, join_attention_windows


def test_windows_are_joined() -> None:
    gm = run_passes(captured("attention_in_windows"), [join_attention_windows])
    assert len(changed_nodes(gm, "join_attention_windows")) == 2
    ranks = [len(shape_of(n) or ()) for n in gm.graph.nodes if n.target is F.scaled_dot_product_attention]
    assert ranks == [4, 4]


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("windows_share_a_query", "its query, key and value are broadcast over windows"),
        ("windows_with_a_mask_each", "its mask may differ from window to window"),
    ],
)
def test_windows_that_depend_on_each_other_stay(net: str, why: str) -> None:
    gm = run_passes(capture_net(ODD[net]), [join_attention_windows])
    assert list(skip_reasons(gm, "join_attention_windows").values()) == [why]


def test_attention_without_heads_gets_one_and_so_does_its_mask() -> None:
    gm = run_passes(capture_net(ODD["headless_with_a_mask_each"]), [give_attention_a_head])
    (node,) = [n for n in gm.graph.nodes if n.target is F.scaled_dot_product_attention]
    mask = node.kwargs["attn_mask"]
    assert [len(shape_of(n) or ()) for n in (node, *node.args, mask)] == [4] * 5


def test_queries_of_all_samples_stay() -> None:
    gm = run_passes(capture_net(ODD["headless_shares_a_query"]), [give_attention_a_head])
    assert list(skip_reasons(gm, "give_attention_a_head").values()) == [
        "its query, key and value are broadcast over samples"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 3, 2, 6, 8), (2, 6, 8)])
def test_the_onnx_exporter_takes_it(shape: tuple[int, ...], tmp_path: Path) -> None:
    def body(net: Any, x: torch.Tensor) -> object:
        q = net.q(x)
        return F.scaled_dot_product_attention(q, q, q, q @ q.transpose(-2, -1) if q.dim() == 3 else None)

    x = torch.randn(shape)
    int8 = fxpasses.quantize(OneInput(body, q=nn.Linear(8, 4)).eval(), x, [x])
    assert fxpasses.export.to_onnx(int8, tmp_path / "net.onnx").is_file()
