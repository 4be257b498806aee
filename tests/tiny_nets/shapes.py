"""Tiny nets with pooling, resizing and operators that move values without changing them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TinyNet, tiny

GROUPS = 2


def _channel_shuffle(x: Tensor) -> Tensor:
    """Channel shuffle of ShuffleNet: ``[B, C, H, W]``, the channels of ``GROUPS`` groups interleaved."""
    batch, channels, height, width = x.size()
    grouped = x.view(batch, GROUPS, channels // GROUPS, height, width)
    return grouped.transpose(1, 2).contiguous().view(batch, channels, height, width)


SHAPES: tuple[TinyNet, ...] = (
    tiny("max_pools", lambda: OneInput(
        lambda net, x: F.max_pool2d(net.pool(F.relu(net.conv(x))), 2, ceil_mode=True), conv=conv(padding=1),
        pool=nn.MaxPool2d(3, stride=2, padding=1))),
    tiny("avg_pools", lambda: OneInput(
        lambda net, x: F.avg_pool2d(net.pool(net.conv(x)), 3, 1, 1), conv=conv(padding=1),
        pool=nn.AvgPool2d(3, 2, padding=1, count_include_pad=False))),
    tiny("adaptive_pool_to_1", lambda: nn.Sequential(
        conv(), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(8, 4))),
    tiny("adaptive_pool_to_2x3", lambda: OneInput(
        lambda net, x: F.adaptive_avg_pool2d(net.conv(x), (2, 3)) + F.adaptive_max_pool2d(net.conv(x), (2, 3)),
        conv=conv())),
    tiny("mean", lambda: OneInput(
        lambda net, x: net.linear(net.conv(x).mean((2, 3))), conv=conv(), linear=nn.Linear(8, 4))),
    tiny("mean_keepdim", lambda: OneInput(
        lambda net, x: torch.mean(net.conv(x), dim=[-2, -1], keepdim=True).squeeze(-1).squeeze(-1), conv=conv())),
    tiny("flatten", lambda: OneInput(
        lambda net, x: net.linear(torch.flatten(net.conv(x), 1)), conv=conv(5, 2), linear=nn.Linear(2 * 7 * 5, 4))),
    tiny("view_with_size", lambda: OneInput(
        lambda net, x: net.linear(net.conv(x).view(x.size(0), -1)), conv=conv(5, 2), linear=nn.Linear(70, 4))),
    tiny("reshape_with_shape", lambda: OneInput(
        lambda net, x: net.conv(x).reshape(x.shape[0], 4, 2, -1).relu(), conv=conv())),
    tiny("permute_linear", lambda: OneInput(
        lambda net, x: net.linear(net.conv(x).permute(0, 2, 3, 1)).transpose(1, 3), conv=conv(),
        linear=nn.Linear(8, 3))),
    tiny("chunk", lambda: OneInput(
        lambda net, x: (lambda halves: torch.cat((net.last(halves[1]), halves[0]), 1))(net.conv(x).chunk(2, dim=1)),
        conv=conv(), last=conv(4, 3, kernel=1))),
    tiny("split_from_the_end", lambda: OneInput(
        lambda net, x: (lambda parts: torch.cat((net.last(parts[0]) + parts[1], parts[-1]), 1))(
            torch.split(net.conv(x), 4, 1)), conv=conv(5, 12), last=conv(4, 4, kernel=1))),
    tiny("split_uneven", lambda: OneInput(
        lambda net, x: (lambda parts: F.relu(parts[0]) * parts[1])(torch.split(net.conv(x), [1, 7], dim=1)),
        conv=conv())),
    tiny("channel_shuffle", lambda: OneInput(
        lambda net, x: net.last(_channel_shuffle(F.relu(net.conv(x)))), conv=conv(), last=conv(8, 3, kernel=1))),
    tiny("slices", lambda: OneInput(lambda net, x: net.conv(x)[:, 1:6:2, ..., -3:], conv=conv())),
    tiny("squeeze_unsqueeze", lambda: OneInput(
        lambda net, x: net.conv(x).mean(3).unsqueeze(2).squeeze(2), conv=conv())),
    tiny("stack_unbind", lambda: OneInput(
        lambda net, x: torch.stack(tuple(net.conv(x)[:, index] for index in (3, 1)), dim=1), conv=conv())),
    tiny("pad", lambda: OneInput(
        lambda net, x: F.pad(net.last(F.pad(net.conv(x), (1, 2, 0, 1))), (1, 0), value=0.5), conv=conv(),
        last=conv(8, 3))),
    tiny("pad_reflect", lambda: nn.Sequential(nn.ReflectionPad2d((1, 2, 0, 1)), conv(), nn.ZeroPad2d(1), conv(8, 3))),
    tiny("interpolate_nearest", lambda: OneInput(
        lambda net, x: net.last(F.interpolate(net.conv(x), scale_factor=2)), conv=conv(), last=conv(8, 3))),
    tiny("interpolate_bilinear", lambda: OneInput(
        lambda net, x: F.interpolate(net.conv(x), size=(11, 6), mode="bilinear", align_corners=False), conv=conv())),
    tiny("pixel_shuffle", lambda: nn.Sequential(conv(5, 12), nn.PixelShuffle(2), nn.ReLU())),
)  # fmt: skip
