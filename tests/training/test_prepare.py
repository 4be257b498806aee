"""A TRAINING graph computes the float graph, rounded, and is an ordinary module."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from tiny_graphs import quantized
from torch import nn
from training_nets import BYTES, FEW_BITS, calibration, float_graph, images, prepared, small

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.models.nets.cifar_resnet import CifarResNet
from fxpasses.models.training.settle import settle
from fxpasses.training.fake import prepare
from fxpasses.training.fake.fake_quantize import ActivationQuantizer
from fxpasses.training.fake.prepare import _samples
from fxpasses.training.fake.trained_layer import TrainedLayer

LEAST_DB = 25.0
"""Least SQNR of logits of 8 bits before training; 34 dB were measured."""


def decibel(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(10 * torch.log10(expected.square().sum() / (found - expected).square().sum()))


def test_with_bytes_it_starts_near_float() -> None:
    graph = prepared(BYTES).eval()
    x = images(7, 32)
    with torch.no_grad():
        assert decibel(graph(x), small()(x)) > LEAST_DB


def test_it_says_what_it_is() -> None:
    graph = prepared()
    assert stage_of(graph) is Stage.TRAINING and graph.training
    layers = {path: m for path, m in graph.named_modules() if isinstance(m, TrainedLayer)}
    assert set(layers) == {"first", "second", "depthwise", "wide", "last"}
    assert {path for path, m in layers.items() if m.norm is None} == {"last"}
    assert [layers[p].grid.high for p in ("first", "second", "depthwise", "last")] == [127, 7, 7, 127]
    widths = {m.grid.levels for m in graph.modules() if isinstance(m, ActivationQuantizer)}
    assert widths == {255, 7}


def test_few_bits_are_few_levels() -> None:
    graph = prepared().eval()
    seen: list[torch.Tensor] = []
    layer = graph.get_submodule("second")
    layer.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        graph(images(8))
    assert 2 <= len(seen[0].unique()) <= 8
    assert isinstance(layer, TrainedLayer) and len((layer.rounded_weight()[0] / layer.step[0]).round().unique()) <= 16


@pytest.mark.parametrize(
    "config", [BYTES, FEW_BITS, replace(FEW_BITS, ranges="observed")], ids=["8", "few", "observed"]
)
def test_shapes_of_the_state_stand_and_eval_changes_nothing(config: fxpasses.TrainingConfig) -> None:
    graph = prepared(config)
    before = {k: v.clone() for k, v in graph.state_dict().items()}
    graph.eval()(images(9))
    assert all(torch.equal(v, before[k]) for k, v in graph.state_dict().items())
    graph.train()(images(9)).square().mean().backward()
    after = graph.state_dict()
    assert {k: v.shape for k, v in after.items()} == {k: v.shape for k, v in before.items()}
    assert any(not torch.equal(v, before[k]) for k, v in after.items() if "running_mean" in k)
    fresh = prepared(config)
    fresh.load_state_dict(after)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(images(9)), graph.eval()(images(9)))


def test_every_parameter_gets_a_gradient() -> None:
    graph = prepared()
    graph(images(10)).square().mean().backward()
    missing = [n for n, p in graph.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing and all(p.grad is None or bool(p.grad.isfinite().all()) for p in graph.parameters())


def test_a_channel_whose_gamma_is_zero() -> None:
    net = copy.deepcopy(small())
    with torch.no_grad():
        net.norm2.weight[1] = 0.0
        assert net.norm3.running_var is not None
        net.norm3.running_var[2] = 1e-12
    graph = fxpasses.prepare_training(fxpasses.capture(net, images(0, 2)), calibration(), FEW_BITS)
    graph(images(11)).square().mean().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in graph.parameters())
    int8 = fxpasses.convert_trained(graph)
    assert bool(int8(images(11)).isfinite().all())


def test_the_callers_graph_is_left_alone() -> None:
    before = {k: v.clone() for k, v in float_graph().state_dict().items()}
    prepared()(images(12)).square().mean().backward()
    assert all(torch.equal(v, before[k]) for k, v in float_graph().state_dict().items())
    assert not any(m.training for m in float_graph().modules())


def test_an_int8_graph_cannot_be_trained() -> None:
    with pytest.raises(GraphError, match="prepare_training got a graph in stage QUANTIZED"):
        fxpasses.prepare_training(quantized("residual_block"), calibration())


def test_a_module_has_to_be_captured() -> None:
    with pytest.raises(GraphError, match="prepare_training got a Small that was not captured"):
        fxpasses.prepare_training(small(), calibration())  # type: ignore[arg-type]  # what callers may do


class Mixed(nn.Module):
    """Pixels up to hundreds and scores below one, concatenated and read by a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels, self.scores = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.reads = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([1000 * self.pixels(x), 0.01 * self.scores(x)], 1)
        found: torch.Tensor = self.last(torch.relu(self.reads(joined)))
        return found


def test_parts_that_one_grid_would_wipe_out_stay_float() -> None:
    torch.manual_seed(2)
    graph = fxpasses.capture(Mixed().eval(), images(0, 2))
    ready = fxpasses.prepare_training(graph, calibration(), FEW_BITS)
    assert not isinstance(ready.get_submodule("reads"), TrainedLayer)
    assert isinstance(ready.get_submodule("last"), TrainedLayer)
    ready(images(1)).square().mean().backward()
    assert fxpasses.convert_trained(ready, [images(2)])(images(3)).shape == (8, 2, 7, 5)


def test_of_a_large_batch_256_samples_are_used() -> None:
    seen: list[int] = []

    def batches() -> Iterator[torch.Tensor]:
        for size in (40, 400, 400):
            seen.append(size)
            yield images(size, size)

    graph = fxpasses.prepare_training(float_graph(), batches(), BYTES)
    again = fxpasses.prepare_training(float_graph(), [images(40, 40), images(400, 400)[:216]], BYTES)
    assert seen == [40, 400]
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in graph.state_dict().items())


def test_without_data() -> None:
    with pytest.raises(InputError, match="it is empty"):
        fxpasses.prepare_training(float_graph(), [])


def test_the_padding_of_a_shortcut_does_not_learn() -> None:
    net = settle(CifarResNet(8), 0, (torch.randn(4, 3, 16, 16),))
    captured = fxpasses.capture(net, torch.randn(2, 3, 16, 16))
    graph = fxpasses.prepare_training(captured, [torch.randn(8, 3, 16, 16)], BYTES)
    padding = [m for m in graph.children() if isinstance(m, nn.Conv2d)]
    assert len(padding) == 2 and not any(m.weight.requires_grad for m in padding)


def test_samples_of_several_processes_are_in_the_order_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are larger than the pieces that samples are looked at in, and more than are used."""
    whole = [images(seed, 48) for seed in range(8)]
    alone = _samples(float_graph(), whole)

    def gathered(own: list[tuple[torch.Tensor, ...]]) -> list[tuple[torch.Tensor, ...]]:
        others = [(batch,) for batch in whole[1::2]]
        return [batch for pair in zip(own, others, strict=False) for batch in pair]

    monkeypatch.setattr(prepare, "samples_of_all", gathered)
    together = _samples(float_graph(), whole[0::2])
    assert [len(piece) for (piece,) in together] == [len(piece) for (piece,) in alone]
    assert sum(len(piece) for (piece,) in alone) == prepare.SAMPLES < 8 * 48
    assert all(torch.equal(ours, theirs) for (ours,), (theirs,) in zip(together, alone, strict=True))
