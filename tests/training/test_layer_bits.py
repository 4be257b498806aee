"""Bits of each layer."""

from __future__ import annotations

from dataclasses import replace

import torch
from training_nets import FEW_BITS, float_graph

import fxpasses
from fxpasses.graph.pass_runner import run_passes
from fxpasses.models.nets.cifar_resnet import CifarResNet
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.plan import plan_quantization
from fxpasses.quantization.int8.rewrites import LOWERING
from fxpasses.training import TrainingConfig
from fxpasses.training.layer_bits import LayerBits, bits_of_layers, made_by_lowering


def bits_with(config: TrainingConfig) -> dict[str, LayerBits]:
    graph = fxpasses.fuse(float_graph())
    return bits_of_layers(graph, plan_quantization(graph, config.quant), config)


def test_first_and_last_have_eight() -> None:
    few = LayerBits(4, 3)
    found = bits_with(FEW_BITS)
    assert found == {
        "first": LayerBits(8, 8),
        "second": few,
        "depthwise": few,
        "wide": few,
        "last": LayerBits(8, 8),
    }


def test_they_have_others_if_told() -> None:
    assert bits_with(replace(FEW_BITS, end_bits=5))["last"] == LayerBits(5, 5)


def test_an_override_stands_above_all() -> None:
    quant = QuantConfig(target="x86", overrides=(Override("last", weight_bits=6), Override("wide", weight_bits=2)))
    found = bits_with(replace(FEW_BITS, quant=quant))
    assert found["last"].weight == 6 and found["wide"].weight == 2 and found["second"].weight == 4


def test_layers_that_only_lowering_made_keep_eight() -> None:
    captured = fxpasses.capture(CifarResNet(8).eval(), torch.randn(2, 3, 16, 16))
    graph = run_passes(fxpasses.fuse(captured), LOWERING)
    made = made_by_lowering(graph)
    found = bits_of_layers(graph, plan_quantization(graph, FEW_BITS.quant), FEW_BITS)
    paths = {n.name: str(n.target) for n in graph.graph.nodes}
    assert made and all(found[name] == LayerBits(8, 8) for name in found if paths[name] in made)
