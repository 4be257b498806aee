"""Channels that must be rescaled together, and channels that cannot be rescaled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.quantization.repairs.channel_labels import ChannelLabels, label_channels

X = torch.randn(2, 3, 8, 8)


class Between(nn.Module):
    """Model of conv ``a`` (4 channels) and ``b`` (4), a function of their outputs, and conv ``c``."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], channels: int = 4) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.function, self.c = function, nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.c(self.function(self.a(x), self.b(x)))
        return found


def labelled(
    function: Callable[[Tensor, Tensor], Tensor], channels: int = 4
) -> tuple[ChannelLabels, dict[str, fx.Node]]:
    gm = fxpasses.fuse(fxpasses.capture(Between(function, channels).eval(), X))
    return label_channels(gm), {n.name: n for n in gm.graph.nodes}


SAME: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda a, b: F.relu(a),
    "leaky_relu": lambda a, b: F.leaky_relu(a, 0.1),
    "max_pool": lambda a, b: F.max_pool2d(a, 2),
    "avg_pool": lambda a, b: F.avg_pool2d(a, 2),
    "global pool": lambda a, b: F.adaptive_avg_pool2d(a, 1),
    "mean": lambda a, b: a.mean((2, 3), keepdim=True),
    "spatial pad": lambda a, b: F.pad(a, (1, 1, 1, 1)),
    "spatial slice": lambda a, b: a[:, :, ::2, ::2],
    "interpolate": lambda a, b: F.interpolate(a, scale_factor=2.0),
    "relu6": lambda a, b: F.relu6(a),
    "gated": lambda a, b: a * torch.sigmoid(b),
}


@pytest.mark.parametrize("name", SAME)
def test_channels_pass(name: str) -> None:
    labels, nodes = labelled(SAME[name])
    assert labels.reads[nodes["c"]] == labels.makes[nodes["a"]]
    assert not set(labels.makes[nodes["a"]]) & labels.fixed.keys()


def test_an_add_joins_its_sides() -> None:
    labels, nodes = labelled(lambda a, b: F.relu(a + b))
    assert labels.makes[nodes["a"]] == labels.makes[nodes["b"]] == labels.reads[nodes["c"]]


def test_a_cat_keeps_them_apart() -> None:
    labels, nodes = labelled(lambda a, b: torch.cat([a, b], 1), channels=8)
    assert labels.reads[nodes["c"]] == labels.makes[nodes["a"]] + labels.makes[nodes["b"]]


def test_a_part_of_a_cat_that_is_fixed() -> None:
    labels, nodes = labelled(lambda a, b: torch.cat([a, torch.sigmoid(b)], 1), channels=8)
    read = labels.reads[nodes["c"]]
    assert read[:4] == labels.makes[nodes["a"]]
    assert set(read[4:]) <= labels.fixed.keys()
    assert not set(read[:4]) & labels.fixed.keys()


def test_padded_channels_are_free() -> None:
    labels, nodes = labelled(lambda a, b: F.pad(a, (0, 0, 0, 0, 1, 2)), 7)
    read = labels.reads[nodes["c"]]
    assert read[1:5] == labels.makes[nodes["a"]]
    assert len(set(read)) == 7


def test_sliced_channels() -> None:
    labels, nodes = labelled(lambda a, b: a[:, 1:3], channels=2)
    assert labels.reads[nodes["c"]] == labels.makes[nodes["a"]][1:3]


FIXES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sigmoid": lambda a, b: torch.sigmoid(a),
    "gelu": lambda a, b: F.gelu(a),
    "a constant added": lambda a, b: F.max_pool2d(a.relu() + 1, 2),
    "a clamp from below zero": lambda a, b: a.clamp(-1, 1),
    "scaled add": lambda a, b: torch.add(a, b, alpha=2),
    "padded with ones": lambda a, b: F.pad(a, (1, 1), value=1.0),
    "a softmax": lambda a, b: torch.softmax(a, 1),
    "a broadcast add": lambda a, b: a + F.adaptive_avg_pool2d(b, 1),
}


@pytest.mark.parametrize("name", FIXES)
def test_what_is_not_homogeneous_fixes_its_input(name: str) -> None:
    labels, nodes = labelled(FIXES[name])
    assert set(labels.makes[nodes["a"]]) <= labels.fixed.keys()


def test_a_gate_is_fixed_and_what_it_gates_is_not() -> None:
    labels, nodes = labelled(lambda a, b: a * F.relu(b))
    assert set(labels.makes[nodes["b"]]) <= labels.fixed.keys()
    assert not set(labels.makes[nodes["a"]]) & labels.fixed.keys()


def test_outputs_are_fixed_and_inputs_have_no_channels() -> None:
    labels, nodes = labelled(lambda a, b: F.relu(a))
    assert set(labels.makes[nodes["c"]]) <= labels.fixed.keys()
    assert labels.of[nodes["x"]] is None
    assert nodes["a"] not in labels.reads


def test_a_clamp_bounds() -> None:
    labels, nodes = labelled(lambda a, b: F.relu6(a) + b.clamp(0, 3))
    assert {labels.bound[label] for label in labels.reads[nodes["c"]]} == {3.0}


def test_layers_called_twice_are_fixed() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.b(self.a(self.a(x)))
            return found

    gm = fxpasses.capture(Twice().eval(), X)
    labels = label_channels(gm)
    assert labels.makes.keys() == {n for n in gm.graph.nodes if n.name == "b"}
    assert not labels.reads


def test_a_linear_layer_behind_flatten_reads_each_channel_many_times() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 64, 5)).eval()
    labels = label_channels(fxpasses.capture(model, X))
    (read,), (made, _) = labels.reads.values(), labels.makes.values()
    assert read == tuple(label for label in made for _ in range(64))


def test_a_layer_norm_makes_channels_that_a_linear_layer_reads() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 4)).eval()
    labels = label_channels(fxpasses.capture(model, torch.randn(2, 5, 6)))
    first, norm, _ = labels.makes.values()
    assert list(labels.reads.values()) == [norm]
    assert set(first) <= labels.fixed.keys()


class Tokens(nn.Module):
    """End of a vision transformer after a LayerNorm: read its shape, and take the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head, self.each = nn.LayerNorm(6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        batch, tokens = y.shape[0], y.size(1)
        found: Tensor = self.head(y[:, 0]) + self.each(y).reshape(batch, tokens, 3).sum(1)
        return found


def test_asking_for_a_shape_and_taking_a_token_fix_nothing() -> None:
    gm = fxpasses.fuse(fxpasses.capture(Tokens().eval(), torch.randn(2, 5, 6)))
    labels, nodes = label_channels(gm), {n.name: n for n in gm.graph.nodes}
    made = labels.makes[nodes["norm"]]
    assert labels.reads[nodes["head"]] == labels.reads[nodes["each"]] == made
    assert not set(made) & labels.fixed.keys()


def test_one_channel_taken_out_has_no_dimension_of_channels() -> None:
    labels, nodes = labelled(lambda a, b: b + a[:, 0].unsqueeze(1))
    assert set(labels.makes[nodes["a"]]) <= labels.fixed.keys()
