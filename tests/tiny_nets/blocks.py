"""Tiny nets like the blocks of real ones: squeeze-and-excite, attention, embeddings, dropped paths."""

from __future__ import annotations

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TinyNet, tiny

TOKENS, WIDTH, HEADS, VOCABULARY = 6, 8, 2, 17
WINDOW, EVENNESS = 49, 0.05


class Attention(nn.Module):
    """Self-attention of two heads, written with matmuls; ``[B, T, 8]`` to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        heads = self.qkv(self.norm(x)).reshape(batch, tokens, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        query, key, value = heads[0], heads[1], heads[2]
        weights = F.softmax(query @ key.transpose(-2, -1) * 0.5, dim=-1)
        mixed = torch.matmul(weights, value).transpose(1, 2).reshape(batch, tokens, width)
        out: Tensor = x + self.project(mixed)
        return out


class WindowAttention(nn.Module):
    """Attention over the 7x7 positions of a window, with a bias for each pair, as in Swin; weights are nearly even."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.bias = nn.Parameter(torch.randn(WINDOW, WINDOW) * EVENNESS)

    def forward(self, x: Tensor) -> Tensor:
        scores = (self.query(x) * EVENNESS) @ self.key(x).transpose(-2, -1) + self.bias
        mixed: Tensor = scores.softmax(-1) @ self.value(x)
        return mixed


@torch.fx.wrap
def gated_linear(x: Tensor, weight: Tensor, bias: Tensor, gate: Tensor) -> Tensor:
    """Function of layers' weights that tracing keeps whole, like torchvision's ``shifted_window_attention``."""
    return F.linear(x, weight, bias) * torch.sigmoid(F.linear(x, gate))


class SqueezeExcite(nn.Module):
    """Block ``x * hardsigmoid(conv(relu(conv(mean(x)))))`` after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(5, 8, padding=1)
        self.squeeze, self.excite = conv(8, 3, kernel=1), conv(3, 8, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.conv(x))
        gate = F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))
        return y * F.hardsigmoid(self.excite(gate))


def _stochastic_depth() -> nn.Module:
    from torchvision.ops import StochasticDepth

    drop: nn.Module = StochasticDepth(0.2, "row")
    return drop


def _tokens() -> tuple[Tensor, ...]:
    return (torch.randint(VOCABULARY, (2, TOKENS), generator=torch.Generator().manual_seed(0)),)


BLOCKS: tuple[TinyNet, ...] = (
    tiny("squeeze_excite", SqueezeExcite),
    tiny("attention", Attention, (2, TOKENS, WIDTH)),
    tiny("window_attention", WindowAttention, (2, WINDOW, WIDTH)),
    tiny("split_attention", lambda: OneInput(
        lambda net, x: (net.a(x) * F.softmax(net.gate(F.adaptive_avg_pool2d(x, 1)).view(-1, 2, 4), dim=1)
                        .reshape(-1, 8, 1, 1)), a=conv(), gate=conv(5, 8, kernel=1))),
    tiny("wrapped_layers", lambda: OneInput(
        lambda net, x: net.last(gated_linear(x, net.a.weight, net.a.bias, net.gate.weight)), a=nn.Linear(WIDTH, 5),
        gate=nn.Linear(WIDTH, 5, bias=False), last=nn.Linear(5, 3)), (2, TOKENS, WIDTH)),
    tiny("multihead_attention", lambda: OneInput(
        lambda net, x: net.linear(x + net.attention(x, x, x, need_weights=False)[0]),
        attention=nn.MultiheadAttention(WIDTH, 2, batch_first=True), linear=nn.Linear(WIDTH, 3)), (2, TOKENS, WIDTH)),
    tiny("bmm", lambda: OneInput(
        lambda net, x: torch.bmm(net.a(x), net.b(x).transpose(1, 2)), a=nn.Linear(WIDTH, 5), b=nn.Linear(WIDTH, 5)),
         (2, TOKENS, WIDTH)),
    tiny("scaled_dot_product", lambda: OneInput(
        lambda net, x: F.scaled_dot_product_attention(net.q(x), net.k(x), net.k(x)), q=nn.Linear(WIDTH, 4),
        k=nn.Linear(WIDTH, 4)), (2, TOKENS, WIDTH)),
    tiny("attention_in_windows", lambda: OneInput(
        lambda net, x: (lambda q: F.scaled_dot_product_attention(q, q, net.v(x)) + F.scaled_dot_product_attention(
            q, q, q, attn_mask=net.mask))(net.q(x)), q=nn.Linear(WIDTH, 4), v=nn.Linear(WIDTH, 4),
        mask=torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril()), (2, 3, 2, TOKENS, WIDTH)),
    tiny("masked_attention", lambda: OneInput(
        lambda net, x: F.scaled_dot_product_attention(
            F.scaled_dot_product_attention(net.q(x), net.k(x), net.k(x), net.open),
            net.k(x), net.k(x), net.causal) + F.scaled_dot_product_attention(net.q(x), net.k(x), net.k(x), net.zeros),
        q=nn.Linear(WIDTH, 4), k=nn.Linear(WIDTH, 4), open=torch.ones(1, TOKENS, TOKENS, dtype=torch.bool),
        causal=torch.ones(TOKENS, TOKENS, dtype=torch.bool).tril(), zeros=torch.zeros(TOKENS, TOKENS)),
         (2, TOKENS, WIDTH)),
    tiny("layer_norm", lambda: nn.Sequential(nn.Linear(7, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3))),
    tiny("group_norm", lambda: nn.Sequential(conv(5, 6), nn.GroupNorm(3, 6), nn.ReLU(), conv(6, 3))),
    tiny("embedding_linear", lambda: OneInput(
        lambda net, x: net.linear(net.embedding(x).mean(1)), embedding=nn.Embedding(VOCABULARY, WIDTH),
        linear=nn.Linear(WIDTH, 3)), inputs=_tokens),
    tiny("dropout_identity", lambda: OneInput(
        lambda net, x: net.linear(F.dropout(net.identity(net.drop(net.conv(x))), 0.3, training=False)),
        conv=conv(), drop=nn.Dropout2d(0.2, inplace=True), identity=nn.Identity(), linear=nn.Linear(5, 4))),
    tiny("dropout_functional", lambda: OneInput(
        lambda net, x: F.dropout(net.conv(x), training=net.training), conv=conv())),
    tiny("stochastic_depth", lambda: OneInput(
        lambda net, x: x + net.drop(net.conv(x)), conv=conv(5, 5, padding=1), drop=_stochastic_depth())),
    tiny("mlp_mixer", lambda: OneInput(
        lambda net, x: net.channels(net.tokens(x.transpose(1, 2)).transpose(1, 2)) + x,
        tokens=nn.Linear(TOKENS, TOKENS), channels=nn.Sequential(nn.Linear(WIDTH, 12), nn.GELU(), nn.Linear(12, 8))),
         (2, TOKENS, WIDTH)),
    tiny("scalar_constant", lambda: OneInput(
        lambda net, x: net.conv(x) * net.gain, conv=conv(), gain=torch.tensor(0.37))),
)  # fmt: skip
