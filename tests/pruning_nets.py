"""Nets with all kinds of dependencies between channels, each with a head that keeps its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tiny_nets.blocks import Attention, SqueezeExcite
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TinyNet, by_name, tiny
from torch import Tensor, nn

WIDTH = 12


def _head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3))


def _shuffled(x: Tensor, groups: int = 2) -> Tensor:
    batch, channels, height, width = x.size()
    return x.view(batch, groups, channels // groups, height, width).transpose(1, 2).reshape(batch, -1, height, width)


class _ScaledByWidth(nn.Module):
    """Attention of one head whose scale is read from a tensor that shrinks."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(6, WIDTH), nn.Linear(6, WIDTH), nn.Linear(6, 10)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        out: Tensor = self.head(torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1) @ v)
        return out


class _FusedAttention(nn.Module):
    """Attention of one head as one kernel, with its default scale."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(6, 3 * WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(x).reshape(x.shape[0], x.shape[1], 3, 2, WIDTH // 2).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        out: Tensor = self.head(mixed.transpose(1, 2).reshape(x.shape[0], x.shape[1], WIDTH))
        return out


class _ChannelsLast(nn.Module):
    """Block like ConvNeXt's: depthwise, permuted, LayerNorm, two linear layers, a scale for each channel, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise, self.norm = conv(5, 8), conv(8, 8, groups=8, padding=1), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 20), nn.Linear(20, 8)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.3))
        self.head = _head(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.down(F.gelu(self.up(self.norm(self.depthwise(x).permute(0, 2, 3, 1))))).permute(0, 3, 1, 2)
        out: Tensor = self.head(x + self.scale * y)
        return out


PRUNING_NETS: dict[str, TinyNet] = by_name((
    tiny("chain", lambda: nn.Sequential(
        conv(5, 8, bias=False), nn.BatchNorm2d(8), nn.Hardswish(), conv(8, 10), nn.Sigmoid(), _head(10))),
    tiny("residual", lambda: OneInput(
        lambda net, x: net.head((lambda y: F.relu(net.bn(net.two(F.relu(net.one(y)))) + y))(net.stem(x))),
        stem=conv(5, 8), one=conv(8, 6, padding=1), two=conv(6, 8, padding=1), bn=nn.BatchNorm2d(8), head=_head(8))),
    tiny("dense_cat", lambda: OneInput(
        lambda net, x: (lambda a: (lambda b: net.head(F.relu(net.bn(torch.cat((a, b, net.three(torch.cat((a, b), 1))),
                                                                             1)))))(net.two(a)))(net.one(x)),
        one=conv(5, 8, padding=1), two=conv(8, 6, padding=1), three=conv(14, 4, padding=1), bn=nn.BatchNorm2d(18),
        head=_head(18))),
    tiny("depthwise", lambda: nn.Sequential(
        conv(5, 8, kernel=1), nn.ReLU6(), conv(8, 16, groups=8), nn.BatchNorm2d(16), conv(16, 6, kernel=1), _head(6))),
    tiny("grouped_wide", lambda: nn.Sequential(conv(5, 12), nn.ReLU(), conv(12, 18, groups=2), nn.ReLU(), _head(18))),
    tiny("grouped_many", lambda: nn.Sequential(conv(5, 12), nn.ReLU(), conv(12, 18, groups=6), nn.ReLU(), _head(18))),
    tiny("grouped_input", lambda: nn.Sequential(conv(6, 12, groups=3), nn.ReLU(), _head(12)), (2, 6, 9, 7)),
    tiny("flatten", lambda: nn.Sequential(
        conv(5, 8), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 3 * 2, 9), nn.ReLU(), nn.Linear(9, 3))),
    tiny("shuffle", lambda: OneInput(
        lambda net, x: (lambda halves: net.head(_shuffled(torch.cat((halves[0], net.branch(halves[1])), 1))))(
            _shuffled(net.stem(x)).chunk(2, 1)),
        stem=conv(5, 16), branch=nn.Sequential(conv(8, 8, kernel=1), nn.ReLU()), head=_head(16))),
    tiny("channel_shuffle_layer", lambda: nn.Sequential(conv(5, 12), nn.ChannelShuffle(3), conv(12, 6), _head(6))),
    tiny("squeeze_excite", lambda: nn.Sequential(SqueezeExcite(), _head(8))),
    tiny("group_norm", lambda: nn.Sequential(conv(5, 12), nn.GroupNorm(4, 12), nn.ReLU(), _head(12))),
    tiny("prelu", lambda: nn.Sequential(conv(5, 8), nn.PReLU(8), conv(8, 6), nn.PReLU(), _head(6))),
    tiny("transposed", lambda: nn.Sequential(
        conv(5, 8), nn.ConvTranspose2d(8, 12, 2, stride=2), nn.ReLU(), nn.ConvTranspose2d(12, 18, 3, groups=2),
        nn.ReLU(), nn.ConvTranspose2d(18, 6, 3, groups=6), _head(6))),
    tiny("pixel_shuffle", lambda: nn.Sequential(conv(5, 24), nn.PixelShuffle(2), conv(6, 4), _head(4))),
    tiny("padded_shortcut", lambda: OneInput(
        lambda net, x: (lambda y: net.head(net.wide(y) + F.pad(y, (0, 0, 0, 0, 2, 3))))(net.stem(x)),
        stem=conv(5, 8), wide=conv(8, 13, padding=1), head=_head(13))),
    tiny("shared", lambda: OneInput(
        lambda net, x: net.head(net.twice(net.twice(net.stem(x)))), stem=conv(5, 8), twice=conv(8, 8), head=_head(8))),
    tiny("cut", lambda: OneInput(
        lambda net, x: (lambda y: net.head(net.left(y[:, :7]) * y[:, 7:]))(net.stem(x)),
        stem=conv(5, 12), left=conv(7, 5, padding=1), head=_head(5))),
    tiny("one_dimension", lambda: nn.Sequential(
        nn.Conv1d(5, 8, 3), nn.BatchNorm1d(8), nn.Conv1d(8, 6, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(6, 3)), (2, 5, 11)),
    tiny("attention", lambda: nn.Sequential(Attention(), nn.Linear(8, 3)), (2, 6, 8)),
    tiny("scaled_by_width", _ScaledByWidth, (2, 5, 6)),
    tiny("fused_attention", _FusedAttention, (2, 5, 6)),
    tiny("channels_last", _ChannelsLast),
    tiny("mixer", lambda: OneInput(
        lambda net, x: net.head(net.channels(net.tokens(x.transpose(1, 2)).transpose(1, 2)) + x).mean(1),
        tokens=nn.Linear(6, 6), channels=nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8)),
        head=nn.Linear(8, 3)), (2, 6, 8)),
))  # fmt: skip


class SelfAttention(nn.Module):
    """Residual block with ``nn.MultiheadAttention`` and LayerNorm; torch.export expands the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(6, WIDTH), nn.LayerNorm(WIDTH)
        self.attention, self.head = nn.MultiheadAttention(WIDTH, 3, batch_first=True), nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        y = self.norm(x)
        mixed, _ = self.attention(y, y, y, need_weights=False)
        out: Tensor = self.head(x + mixed)
        return out
