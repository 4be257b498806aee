"""More unusual nets for the passes: each shows a way in which some pass could go wrong."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TinyNet, by_name, tiny
from torch import Tensor, nn

VOCABULARY = 17


def _hooked() -> nn.Module:
    """A convolution whose output a hook shifts before the BatchNorm."""
    net = nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU(), conv(8, 3))
    net[0].register_forward_hook(lambda module, inputs, output: output + 1)
    return net


def _without_shift(net: nn.Module) -> None:
    """A BatchNorm that only scales: zero mean, zero beta."""
    for name in ("0.running_mean", "0.bias"):
        values = dict(net.named_parameters()) | dict(net.named_buffers())
        values[name].detach().zero_()


def _tokens() -> tuple[Tensor, ...]:
    return (torch.randint(VOCABULARY, (2, 6), generator=torch.Generator().manual_seed(0)),)


def _one_conv(body: object, **more: nn.Module | Tensor) -> OneInput:
    return OneInput(body, conv=conv(), **more)  # type: ignore[arg-type]  # a lambda of the net and its input


ODD: dict[str, TinyNet] = by_name((
    # p=1 drops every value, so it is no random function, and dropping the dropout is wrong for sure.
    tiny("windows_share_a_query", lambda: OneInput(
        lambda net, x: F.scaled_dot_product_attention(x[:, :1], x, x)), (2, 3, 2, 6, 8)),
    tiny("windows_with_a_mask_each", lambda: OneInput(
        lambda net, x: F.scaled_dot_product_attention(x, x, x, net.mask), mask=torch.randn(3, 1, 6, 6)),
         (2, 3, 2, 6, 8)),
    tiny("headless_with_a_mask_each", lambda: OneInput(
        lambda net, x: F.scaled_dot_product_attention(x, x, x, x @ x.transpose(1, 2))), (2, 6, 8)),
    tiny("headless_shares_a_query", lambda: OneInput(
        lambda net, x: F.scaled_dot_product_attention(net.query, x, x), query=torch.randn(6, 8)), (2, 6, 8)),
    tiny("dropout_always_twice", lambda: _one_conv(
        lambda net, x: (lambda y: F.dropout(y, 1.0, training=True) + F.dropout(y, 1.0, training=True) + 1)(net.conv(x))
    )),
    tiny("dropout_always", lambda: _one_conv(lambda net, x: F.dropout(net.conv(x), 1.0, training=True) + 1)),
    tiny("attention_weights_read", lambda: OneInput(
        lambda net, x: torch.bmm(net.attention(x, x, x)[1], net.attention(x, x, x)[0]),
        attention=nn.MultiheadAttention(8, 2, batch_first=True)), (2, 6, 8)),
    tiny("dropout_by_keyword", lambda: _one_conv(lambda net, x: F.dropout(input=net.conv(x), p=0.5, training=False))),
    tiny("clips_apart", lambda: _one_conv(
        lambda net, x: F.relu(net.conv(x)).clamp(-1, 0.5).clamp(0.7, 2) + net.conv(x).clamp(-0.4, 0.9).clamp(-0.2, 3))),
    tiny("clip_read_twice", lambda: _one_conv(lambda net, x: (lambda y: F.relu6(y) + y)(F.relu(net.conv(x))))),
    tiny("clip_by_tensor", lambda: _one_conv(
        lambda net, x: torch.clamp(net.conv(x), min=net.low).clamp(0, 1), low=torch.tensor(0.1))),
    tiny("clip_bounds_crossed", lambda: _one_conv(lambda net, x: F.relu(net.conv(x).clamp(0.5, 0.1)))),
    tiny("clip_of_integers", lambda: OneInput(
        lambda net, x: net.table(x.clamp(0, 9).clamp(max=5)), table=nn.Embedding(VOCABULARY, 4)), inputs=_tokens),
    tiny("weight_read_elsewhere", lambda: _one_conv(
        lambda net, x: net.bn(net.conv(x)).transpose(1, 3) * net.conv.bias, bn=nn.BatchNorm2d(8))),
    tiny("weight_read_elsewhere_ahead", lambda: _one_conv(
        lambda net, x: net.conv(net.bn(x)).transpose(1, 3) * net.conv.bias, bn=nn.BatchNorm2d(5))),
    tiny("hook_before_bn", _hooked),
    tiny("weight_by_hook", lambda: nn.Sequential(nn.utils.spectral_norm(conv()), nn.BatchNorm2d(8), nn.ReLU())),
    tiny("weight_by_hook_after_bn", lambda: nn.Sequential(nn.BatchNorm2d(5), nn.utils.spectral_norm(conv()))),
    tiny("weight_by_parametrization", lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(conv()), nn.BatchNorm2d(8))),
    tiny("bn_by_keyword", lambda: _one_conv(lambda net, x: net.bn(input=net.conv(x)), bn=nn.BatchNorm2d(8))),
    tiny("bn_on_input", lambda: nn.Sequential(nn.BatchNorm2d(5), nn.ReLU())),
    tiny("bn_reflect_conv", lambda: nn.Sequential(nn.BatchNorm2d(5), conv(padding=1, padding_mode="reflect"))),
    tiny("bn_padded_without_shift", lambda: nn.Sequential(nn.BatchNorm2d(5), conv(padding=1)),
         afterwards=_without_shift),
    tiny("bn_transposed_conv", lambda: nn.Sequential(nn.BatchNorm2d(5), nn.ConvTranspose2d(5, 7, 3))),
    tiny("bn_conv3d", lambda: nn.Sequential(nn.BatchNorm3d(2), nn.Conv3d(2, 4, 3, bias=False)), (2, 2, 5, 6, 7)),
    tiny("conv_transpose3d_bn", lambda: nn.Sequential(nn.ConvTranspose3d(2, 4, 3), nn.BatchNorm3d(4)), (2, 2, 3, 4, 5)),
    tiny("mean_of_channels", lambda: _one_conv(lambda net, x: net.conv(x).mean(1) + net.conv(x).mean())),
    tiny("mean_of_sequence", lambda: OneInput(lambda net, x: net.linear(x).mean(1), linear=nn.Linear(8, 5)), (2, 6, 8)),
    tiny("pool_to_own_size", lambda: _one_conv(lambda net, x: F.adaptive_avg_pool2d(net.conv(x), (7, 5)))),
    tiny("pool_to_divisor", lambda: _one_conv(
        lambda net, x: F.adaptive_avg_pool2d(F.pad(net.conv(x), (1, 0)), (7, 3)))),
    tiny("slice_before_channel_pad_read_twice", lambda: _one_conv(
        lambda net, x: (lambda y: F.pad(y, (0, 0, 0, 0, 2, 1)) + y.mean())(net.conv(x)[:, :, ::2, ::3]))),
    tiny("channel_pad_alone", lambda: _one_conv(lambda net, x: F.pad(net.conv(x), (0, 0, 0, 0, 0, 3)))),
    tiny("channel_pad_cropping", lambda: _one_conv(lambda net, x: F.pad(net.conv(x), (0, 0, 0, 0, -1, 3)))),
    tiny("channel_pad_of_ones", lambda: _one_conv(lambda net, x: F.pad(net.conv(x), (0, 0, 0, 0, 1, 1), value=1.0))),
    tiny("channel_pad_by_size", lambda: _one_conv(
        lambda net, x: F.pad(net.conv(x), (0, 0, 0, 0, 0, x.size(1))))),
    tiny("channel_pad_of_integers", lambda: OneInput(
        lambda net, x: F.pad(x.reshape(-1, 3, 2, 1), (0, 0, 0, 0, 1, 1))), inputs=_tokens),
    tiny("pad_by_size", lambda: _one_conv(lambda net, x: F.pad(net.conv(x), (0, x.size(3) - 5)))),
))  # fmt: skip
