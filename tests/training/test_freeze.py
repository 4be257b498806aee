"""A frozen graph computes the integers of the converted graph; its scales do not change any more."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_nets import BYTES, FEW_BITS, X86, calibration, float_graph, frozen, images, prepared

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.int8.exactness import margins
from fxpasses.training.frozen.frozen_layer import FrozenLayer
from fxpasses.training.frozen.norm_statistics import norms_of

CLOSE_DB = 20.0
"""Least SQNR of 8-bit logits against the open graph: scales moved by a thousandth, and biases were rounded."""


def test_it_computes_nearly_what_the_open_graph_did() -> None:
    graph = prepared(BYTES).eval()
    later = fxpasses.freeze_training(graph).eval()
    x = images(21, 32)
    with torch.no_grad():
        expected, found = graph(x), later(x)
    assert float(10 * torch.log10(expected.square().sum() / (found - expected).square().sum())) > CLOSE_DB


def test_only_weights_and_biases_are_left_to_learn() -> None:
    graph = frozen()
    assert stage_of(graph) is Stage.TRAINING and graph.training
    learning = {n.rpartition(".")[2] for n, p in graph.named_parameters() if p.requires_grad}
    assert learning == {"weight", "bias"} and not norms_of(graph)
    graph(images(22)).square().mean().backward()
    layers = [m for m in graph.modules() if isinstance(m, FrozenLayer)]
    assert len(layers) == 5 and all(m.weight.grad is not None and bool(m.weight.grad.isfinite().all()) for m in layers)


def test_statistics_are_taken_again_from_the_batches() -> None:
    graph = prepared()
    with torch.no_grad():
        for norm in norms_of(graph):
            norm.running_mean.fill_(7.0)  # type: ignore[operator]  # a BatchNorm
    x = images(23)
    with torch.no_grad():
        wrong, right = (
            fxpasses.freeze_training(graph).eval()(x),
            fxpasses.freeze_training(graph, calibration()).eval()(x),
        )
        expected = fxpasses.freeze_training(prepared(), calibration()).eval()(x)
    assert torch.equal(right, expected) and not torch.equal(wrong, expected)


def test_the_open_graph_is_left_alone() -> None:
    graph = prepared()
    before = {k: v.clone() for k, v in graph.state_dict().items()}
    fxpasses.freeze_training(graph, calibration())
    assert graph.training and all(torch.equal(v, before[k]) for k, v in graph.state_dict().items())


@pytest.mark.parametrize("target", ["x86", "x86-avx2", "cuda"])
def test_scales_are_free_of_ties(target: str) -> None:
    config = replace(FEW_BITS, quant=replace(X86, target=target, exact=True))
    graph = fxpasses.prepare_training(float_graph(), calibration(), config)
    int8 = fxpasses.convert_trained(fxpasses.freeze_training(graph, calibration()))
    assert all(m.is_proof for m in margins(int8))


def test_a_frozen_graph_cannot_be_frozen() -> None:
    with pytest.raises(GraphError, match="freeze_training got a frozen TRAINING graph"):
        fxpasses.freeze_training(frozen())


def test_a_float_graph_cannot_be_frozen() -> None:
    with pytest.raises(GraphError, match="freeze_training got a graph in stage FLOAT"):
        fxpasses.freeze_training(float_graph())


@pytest.mark.parametrize("what", ["step", "weight"])
def test_a_broken_range_is_named(what: str) -> None:
    graph = prepared()
    with torch.no_grad():
        graph.get_parameter(f"second.{what}").flatten()[0] = float("nan")
    with pytest.raises(GraphError, match=r"at second\n(?s:.*)NaN"):
        fxpasses.freeze_training(graph)
