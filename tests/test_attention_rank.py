"""Attention over windows becomes attention over more samples, where nothing depends on the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from odd_nets import ODD
from tiny_graphs import capture_net, captured, changed_nodes, skip_reasons
from torch import nn

import fxpasses
from fxpasses.models.tiny_net import OneInput
from fxpasses.pass_runner import run_passes
from fxpasses.passes.attention_rank import join_attention_windows
from fxpasses.shapes import shape_of


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


@pytest.mark.slow
def test_the_onnx_exporter_takes_it(tmp_path: Path) -> None:
    def body(net: Any, x: torch.Tensor) -> object:
        q = net.q(x)
        return F.scaled_dot_product_attention(q, q, q)

    x = torch.randn(2, 3, 2, 6, 8)
    int8 = fxpasses.quantize(OneInput(body, q=nn.Linear(8, 4)).eval(), x, [x])
    assert fxpasses.export.to_onnx(int8, tmp_path / "net.onnx").is_file()
