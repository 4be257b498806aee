"""Multiply-accumulates from shapes: compared with counts by hand for each operator, and with torch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import fxpasses
from fxpasses.macs import count_graph_macs


class Does(nn.Module):
    """Model that computes ``body(net, x)`` with parts."""

    def __init__(self, body: Any, **parts: nn.Module) -> None:
        super().__init__()
        self.body = body
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(self, x)
        return found


def attention(batch_first: bool) -> nn.Module:
    layer = nn.MultiheadAttention(16, 4, batch_first=batch_first)
    return Does(lambda net, x: net.layer(x, x, x)[0], layer=layer)


OF_ATTENTION = 4 * 10 * 256 + 2 * 4 * 10 * 10 * 4
BY_HAND: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "grouped": (nn.Conv2d(8, 12, 3, padding=1, groups=4), (2, 8, 10, 9), 90 * 12 * 2 * 9),
    "transposed": (nn.ConvTranspose2d(8, 4, 2, 2), (2, 8, 5, 6), 8 * 30 * 4 * 4),
    "transposed_grouped": (nn.ConvTranspose2d(8, 4, 3, 2, groups=2), (3, 8, 5, 6), 8 * 30 * 2 * 9),
    "conv1d": (nn.Conv1d(4, 6, 5, stride=2), (2, 4, 21), 9 * 6 * 4 * 5),
    "conv3d": (nn.Conv3d(2, 3, 3), (2, 2, 5, 6, 7), 3 * 4 * 5 * 3 * 2 * 27),
    "linear_on_tokens": (nn.Linear(7, 5), (2, 9, 7), 9 * 35),
    "matmul": (Does(lambda net, x: x @ x.transpose(1, 2)), (3, 4, 5), 4 * 4 * 5),
    "matmul_of_the_batch": (Does(lambda net, x: net.a(x.flatten(0, 1))[None], a=nn.Linear(5, 7)), (3, 4, 5), 4 * 35),
    "baddbmm": (Does(lambda net, x: torch.baddbmm(x @ x, x, x)), (2, 4, 4), 2 * 64),
    "einsum": (Does(lambda net, x: torch.einsum("bnd,bmd->bnm", x, x)), (2, 5, 6), 5 * 5 * 6),
    "einsum_implicit": (Does(lambda net, x: torch.einsum("bij,bjk", x, x)), (2, 5, 5), 125),
    "einsum_ellipsis": (Does(lambda net, x: torch.einsum("...id,...jd->...ij", x, x)), (2, 3, 5, 6), 3 * 5 * 5 * 6),
    "einsum_of_three": (Does(lambda net, x: torch.einsum("bij,bjk,bkl->bil", x, x, x)), (2, 5, 5), 2 * 125),
    "fused_attention": (Does(lambda net, x: F.scaled_dot_product_attention(x, x, x)), (2, 3, 7, 8), 2 * 3 * 49 * 8),
    "attention_layer": (attention(batch_first=True), (2, 10, 16), OF_ATTENTION),
    "lstm": (Does(lambda net, x: net.a(x)[0], a=nn.LSTM(6, 8, batch_first=True)), (2, 5, 6), 5 * 32 * 14),
    "two_ways": (
        Does(lambda net, x: net.a(x)[0], a=nn.GRU(6, 8, 2, batch_first=True, bidirectional=True)),
        (2, 5, 6),
        5 * 2 * 24 * (6 + 8 + 16 + 8),
    ),
    "of_two_inputs": (Does(lambda net, x: net.a(x, x.abs()), a=nn.Bilinear(5, 5, 3)), (2, 5), 3 * 5 * 5),
    "projected": (
        Does(lambda net, x: net.a(x)[0], a=nn.LSTM(6, 8, batch_first=True, proj_size=3)),
        (2, 5, 6),
        5 * (32 * (6 + 3) + 3 * 8),
    ),
    "nothing_multiplies": (Does(lambda net, x: (x * 2).relu().mean(1)), (2, 5), 0),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("case", BY_HAND)
def test_counts_by_hand(case: str) -> None:
    net, shape, expected = BY_HAND[case]
    assert count_graph_macs(fxpasses.capture(net.eval(), torch.randn(shape))) == expected


@pytest.mark.parametrize("batch_first", [True, False])
def test_an_opened_attention_layer_counts_as_the_closed_one(batch_first: bool) -> None:
    x = torch.randn(2, 10, 16)
    graphs = [fxpasses.capture(attention(batch_first).eval(), x, method=how) for how in ("trace", "export")]
    opened, closed = (count_graph_macs(graph) for graph in graphs)
    assert opened == closed


SKIPPED = frozenset({"lstm", "gru"})
"""Operators without a formula in torch's counter: recurrent layers."""


@pytest.mark.parametrize("name", each_net(sorted(TINY.keys() - SKIPPED)))
def test_torch_counts_as_many(name: str) -> None:
    net = TINY[name]
    graph = fxpasses.capture(net.build(), net.example_inputs())
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it hides its products from the counter, as fused kernels do
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            graph(*net.example_inputs())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    batch = len(net.example_inputs()[0])
    assert count_graph_macs(graph) == counter.get_total_flops() // 2 // batch
