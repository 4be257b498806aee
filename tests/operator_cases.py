"""Every operator of the vocabulary with the settings that torch documents, each as a small net with int8 around it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 8
SIZES = {1: (13,), 2: (13, 11), 3: (9, 7, 8)}
"""Odd sizes, so that windows do not divide them."""
STEPS = 5
"""Length of the sequences of recurrent layers: torch traces every step, so the time of an export grows with it."""
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class Case:
    """A net with one operator.

    Attributes:
        dims: spatial dimensions of its input ``[B, 3, ...]``.
        make: the operator: a module on ``[B, 8, ...]``.
        has_layer_behind: whether a convolution follows, so that its result is read as integers.
    """

    dims: int
    make: Callable[[], nn.Module]
    has_layer_behind: bool = True

    def net(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Around(self).eval()

    def inputs(self, seed: int, batch: int = 2) -> Tensor:
        return torch.randn(batch, 3, *SIZES[self.dims], generator=torch.Generator().manual_seed(seed))


class Around(nn.Module):
    """conv, ReLU, the operator, and a convolution if its result has channels."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.before, self.operator = CONVS[case.dims](3, CHANNELS, 3, padding=1), case.make()
        self.behind: nn.Module = nn.Identity()
        if case.has_layer_behind:
            y = self.operator(torch.relu(self.before(case.inputs(0))))
            self.behind = CONVS[y.dim() - 2](y.shape[1], 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.behind(self.operator(torch.relu(self.before(x))))
        return found


class Together(nn.Module):
    """Several operators on one input, each with its convolutions; a list of results."""

    def __init__(self, cases: list[Case]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(case.net() for case in cases)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [net(x) for net in self.nets]


class Call(nn.Module):
    """Module that calls a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.function(x)
        return found


def _average_pools() -> Iterator[tuple[str, Case]]:
    kinds = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
    settings = itertools.product(kinds, (2, 3, 4), (1, 2, 3), (0, 1), (False, True), (False, True))
    for dims, kernel, stride, padding, ceil, counts in settings:
        how = {"stride": stride, "padding": padding, "ceil_mode": ceil, "count_include_pad": counts}
        if kernel == 3 or (stride == 3) == ceil:  # half of them: the others differ in no other way
            yield f"avg_pool{dims}d {kernel} {how}", Case(dims, _maker(kinds[dims], kernel, **how))
    for dims, ceil, padding in itertools.product((2, 3), (False, True), (0, 1)):
        how = {"stride": 2, "padding": padding, "ceil_mode": ceil, "divisor_override": 5}
        yield f"avg_pool{dims}d divisor {how}", Case(dims, _maker(kinds[dims], 3, **how))


def _max_pools() -> Iterator[tuple[str, Case]]:
    kinds = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
    for dims, stride, padding, dilation, ceil in itertools.product(kinds, (1, 2, 3), (0, 1), (1, 2), (False, True)):
        how = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil}
        yield f"max_pool{dims}d {how}", Case(dims, _maker(kinds[dims], 3, **how))


def _adaptive_pools() -> Iterator[tuple[str, Case]]:
    for dims, count in itertools.product((1, 2, 3), (1, 2, 4)):
        for kind in ("Avg", "Max"):
            pool = getattr(nn, f"Adaptive{kind}Pool{dims}d")
            yield f"adaptive_{kind.lower()}_pool{dims}d {count}", Case(dims, _maker(pool, count))
    yield "adaptive_avg_pool2d None", Case(2, _maker(nn.AdaptiveAvgPool2d, (None, 3)))
    yield "lp_pool", Case(2, _maker(nn.LPPool2d, 2, 3, 2))
    yield "lp_pool ceil", Case(2, _maker(nn.LPPool2d, 2, 4, 3, ceil_mode=True))


def _convolutions() -> Iterator[tuple[str, Case]]:
    for dims, stride, dilation, groups, bias in itertools.product(CONVS, (1, 2), (1, 2), (1, 8), (False, True)):
        how = {"stride": stride, "padding": 1, "dilation": dilation, "groups": groups, "bias": bias}
        yield f"conv{dims}d {how}", Case(dims, _maker(CONVS[dims], CHANNELS, CHANNELS, 3, **how))
    for dims, mode in itertools.product(CONVS, ("zeros", "reflect", "replicate", "circular")):
        yield (
            f"conv{dims}d same {mode}",
            Case(dims, _maker(CONVS[dims], CHANNELS, 4, 3, padding="same", padding_mode=mode)),
        )
    transposed = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
    for dims, stride, more, groups in itertools.product(transposed, (1, 2), (0, 1), (1, 4)):
        if more < stride:
            how = {"stride": stride, "padding": 1, "output_padding": more, "groups": groups}
            yield f"conv_transpose{dims}d {how}", Case(dims, _maker(transposed[dims], CHANNELS, CHANNELS, 3, **how))


def _maker(kind: Callable[..., nn.Module], *args: Any, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: kind(*args, **settings)


class Recurrent(nn.Module):
    """A recurrent layer over the first positions of a 1-D signal."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, :, :STEPS]
        steps = first.transpose(1, 2) if self.layer.batch_first else first.permute(2, 0, 1)
        y: Tensor = self.layer(steps)[0]
        return y.transpose(1, 2) if self.layer.batch_first else y.permute(1, 2, 0)


def _recurrent() -> Iterator[tuple[str, Case]]:
    kinds: dict[str, tuple[Callable[..., nn.RNNBase], dict[str, Any]]] = {
        "lstm": (nn.LSTM, {}),
        "lstm proj": (nn.LSTM, {"proj_size": 3}),
        "gru": (nn.GRU, {}),
        "rnn": (nn.RNN, {}),
        "rnn relu": (nn.RNN, {"nonlinearity": "relu"}),
    }
    ways: tuple[dict[str, Any], ...] = (
        {"batch_first": True},
        {"batch_first": True, "bias": False},
        {"num_layers": 2, "bidirectional": True},
    )
    for (name, (kind, own)), how in itertools.product(kinds.items(), ways):
        layer = _maker(lambda k, s: Recurrent(k(CHANNELS, 6, **s)), kind, own | how)
        yield f"{name} {how}", Case(1, layer)


_CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    **{
        f.__name__: f
        for f in (
            torch.relu,
            F.hardswish,
            F.hardsigmoid,
            torch.sigmoid,
            F.silu,
            F.gelu,
            F.mish,
            F.elu,
            F.leaky_relu,
            torch.tanh,
            F.softplus,
            F.selu,
            F.celu,
            F.logsigmoid,
            F.softsign,
            torch.exp,
            torch.erf,
            torch.abs,
            torch.floor,
            torch.round,
            torch.sign,
            torch.square,
            torch.neg,
            torch.sin,
            torch.cos,
        )
    },
    "clamp": lambda x: x.clamp(0.1, 0.7),
    "relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, -0.2, 0.6),
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu alpha": lambda x: F.elu(x, 0.5),
    "sqrt": lambda x: (x.abs() + 1).sqrt(),
    "rsqrt": lambda x: (x.abs() + 1).rsqrt(),
    "log": lambda x: (x.abs() + 1).log(),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "pow": lambda x: x.pow(2.0),
    "add": lambda x: x + x.flip(2),
    "add number": lambda x: x + 0.3,
    "add alpha": lambda x: torch.add(x, x.flip(2), alpha=2),
    "sub": lambda x: x - x.flip(2),
    "rsub": lambda x: 1 - x,
    "mul": lambda x: x * x.flip(2),
    "mul number": lambda x: x * 0.3,
    "div": lambda x: x / (1 + x.abs()),
    "div number": lambda x: x / 3,
    "maximum": lambda x: torch.maximum(x, x.flip(2)),
    "minimum": lambda x: torch.minimum(x, x.flip(2)),
    "where": lambda x: torch.where(x > 0.2, x, x.flip(2)),
    "gate": lambda x: x * x.mean((2, 3), keepdim=True),
    "matmul": lambda x: x @ x.transpose(2, 3),
    "einsum": lambda x: torch.einsum("bchw,bcdw->bchd", x, x),
    "cat": lambda x: torch.cat([x, x.flip(2)], 1),
    "stack": lambda x: torch.stack([x, x.flip(2)], 2).flatten(1, 2),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "split": lambda x: torch.cat(x.split((3, 5), 1)[::-1], 1),
    "unbind": lambda x: x.unbind(1)[2][:, None],
    "slice": lambda x: x[:, 1:7:2, 1:],
    "narrow": lambda x: x.narrow(2, 1, 5),
    "select": lambda x: x.select(1, 2)[:, None],
    "index_select": lambda x: x.index_select(1, torch.tensor([3, 0, 5])),
    "permute": lambda x: x.permute(0, 1, 3, 2),
    "transpose": lambda x: x.transpose(2, 3),
    "reshape": lambda x: x.reshape(x.shape[0], 4, -1, 11),
    "flatten": lambda x: x.flatten(2)[..., None],
    "squeeze": lambda x: x[:, :, :1].squeeze(2)[:, :, None],
    "expand": lambda x: x[:, :1].expand(-1, 6, -1, -1),
    "roll": lambda x: x.roll(2, 3),
    "flip": lambda x: x.flip(3),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :12, :10], 2),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 4),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "pad value": lambda x: F.pad(x, (1, 2), value=0.5),
    "pad reflect": lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"),
    "pad replicate": lambda x: F.pad(x, (1, 2, 2, 1), mode="replicate"),
    "pad circular": lambda x: F.pad(x, (1, 2, 2, 1), mode="circular"),
    "crop": lambda x: F.pad(x, (-1, -2)),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "nearest size": lambda x: F.interpolate(x, size=(7, 17)),
    "nearest-exact": lambda x: F.interpolate(x, size=(7, 17), mode="nearest-exact"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear corners": lambda x: F.interpolate(x, size=(7, 17), mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "mean of channels": lambda x: x.mean(1, keepdim=True),
    "sum": lambda x: x.sum((2, 3), keepdim=True),
    "amax": lambda x: x.amax((2, 3), keepdim=True),
    "std": lambda x: x.std((2, 3), keepdim=True),
    "var": lambda x: x.var((2, 3), keepdim=True),
    "cumsum": lambda x: x.cumsum(2),
    "norm": lambda x: F.normalize(x, dim=1),
    "unfold": lambda x: F.unfold(x, 3)[..., None],
    "tril": lambda x: x.tril(),
    "topk": lambda x: x.topk(3, 1).values,
    "sort": lambda x: x.sort(1).values,
    "argmax": lambda x: x.argmax(1, keepdim=True).float(),
    "grid_sample": lambda x: F.grid_sample(x, torch.stack([x[:, 0].tanh(), x[:, 1].tanh()], -1), align_corners=False),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "glu": lambda x: F.glu(x, 1),
}

_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "batch_norm": lambda: nn.BatchNorm2d(CHANNELS),
    "group_norm": lambda: nn.GroupNorm(2, CHANNELS),
    "layer_norm": lambda: nn.LayerNorm([13, 11]),
    "instance_norm": lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
    "local_response_norm": lambda: nn.LocalResponseNorm(3),
    "prelu": lambda: nn.PReLU(CHANNELS),
    "linear": lambda: nn.Linear(11, 7),
    "linear no bias": lambda: nn.Linear(11, 7, bias=False),
    "dropout": lambda: nn.Dropout(0.3),
}


def _others() -> Iterator[tuple[str, Case]]:
    for name, function in _CALLS.items():
        yield name, Case(2, _maker(Call, function))
    for name, layer in _LAYERS.items():
        yield name, Case(2, layer)


def all_cases() -> dict[str, Case]:
    """All cases by a name with operator and settings."""
    kinds = (_average_pools, _max_pools, _adaptive_pools, _convolutions, _recurrent, _others)
    return dict(itertools.chain.from_iterable(kind() for kind in kinds))
