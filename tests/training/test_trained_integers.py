"""Conversion gives exactly the integers of fake quantization, in every runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_graphs import calibration_data, captured
from tiny_nets.all_nets import TINY
from torch.utils import _pytree as pytree
from training_nets import FEW_BITS, float_graph, frozen, images, labelled, prepared

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.export import parity, to_onnx
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.models.training.settle import settle
from fxpasses.training.frozen.frozen_layer import FrozenLayer
from fxpasses.training.frozen.trained_integers import integers_of, require_same_integers
from fxpasses.training.layer_bits import LayerBits
from fxpasses.training.runs.optimizers import optimizer_of
from fxpasses.training.runs.run_settings import RunSettings
from fxpasses.training.training_facts import facts_of


def trained(graph: torch.fx.GraphModule, steps: int = 3) -> torch.fx.GraphModule:
    """The prepared graph after some steps on labels."""
    optimizer = optimizer_of(graph, RunSettings(frozen_lr=0.2), frozen=True)
    for x, labels in labelled()[:steps]:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(graph(x), labels).backward()
        optimizer.step()
    return graph


def test_integers_are_those_of_fake_quantization_and_of_both_runtimes(tmp_path: Path) -> None:
    start = fxpasses.convert_trained(frozen())
    graph = trained(frozen())
    int8 = fxpasses.convert_trained(graph, [images(31)])
    assert stage_of(int8) is Stage.QUANTIZED
    moved = sum(not torch.equal(a, b) for a, b in zip(start.buffers(), int8.buffers(), strict=True))
    assert moved >= 8  # weights and biases of five layers, but for one or two
    x = images(32, 32)
    assert require_same_integers(graph.eval(), int8, (x,)) > 10_000
    with torch.no_grad():
        assert torch.equal(graph(x), fxpasses.export.to_torch(int8, "reference")(x))
    to_onnx(int8, tmp_path / "trained.onnx")
    found = parity(int8, [x], onnx_path=tmp_path / "trained.onnx", node_images=32)
    assert found.is_exact and found.images == 32


def test_narrow_tensors_have_few_integers() -> None:
    int8 = fxpasses.convert_trained(frozen())
    narrow = {name: q for name, q in integers_of(int8, (images(33),)).items() if "_bits3" in name}
    assert len(narrow) == 3 and all(int(q.max() - q.min()) <= 7 for q in narrow.values())


def test_an_open_graph_is_frozen_first() -> None:
    at_once = fxpasses.convert_trained(prepared())
    step_by_step = fxpasses.convert_trained(fxpasses.freeze_training(prepared()))
    assert all(torch.equal(a, b) for a, b in zip(at_once.buffers(), step_by_step.buffers(), strict=True))


def test_with_observed_ranges() -> None:
    graph = prepared(replace(FEW_BITS, ranges="observed"))
    optimizer = optimizer_of(graph, RunSettings(), frozen=False)
    for x, labels in labelled():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(graph(2 * x), labels).backward()
        optimizer.step()
    assert stage_of(fxpasses.convert_trained(graph, [images(35)])) is Stage.QUANTIZED


def test_a_norm_that_no_layer_could_absorb() -> None:
    """Model like DenseNet: normalised, cut off at zero, and only then read by a layer."""
    first, last = torch.nn.Conv2d(3, 5, 3), torch.nn.Conv2d(5, 4, 3)
    net = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.BatchNorm2d(5), torch.nn.ReLU(), last)
    net = settle(net, 1, (images(36),))
    data = [images(36), images(37)]
    graph = fxpasses.prepare_training(fxpasses.capture(net, images(36)), data, FEW_BITS)
    graph(images(36)).square().mean().backward()
    int8 = fxpasses.convert_trained(graph, data)
    assert not any(m.training for m in int8.modules())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in int8.modules())


def test_other_integers_are_refused() -> None:
    graph = frozen()
    int8 = fxpasses.convert_trained(graph)
    with torch.no_grad():
        next(m for m in graph.modules() if isinstance(m, FrozenLayer)).bias.add_(200.0)  # type: ignore[union-attr]
    with pytest.raises(GraphError, match="integers are not those of fake quantization"):
        require_same_integers(graph.eval(), int8, (images(34),))


def test_conversion_compares() -> None:
    graph = frozen()
    facts = facts_of(graph, "test")
    assert facts.int8 is not None
    scale = next(n for n in facts.int8.graph.nodes if n.name == "relu_3_int8" or n.name.startswith("relu"))
    scale.update_arg(1, 2 * scale.args[1])  # another grid than fake quantization had
    facts.int8.recompile()
    with pytest.raises(GraphError, match="integers are not those of fake quantization"):
        fxpasses.convert_trained(graph)


def test_a_float_graph_has_not_been_trained() -> None:
    with pytest.raises(GraphError, match="convert_trained got a graph in stage FLOAT"):
        fxpasses.convert_trained(float_graph())


def test_batches_have_to_fit() -> None:
    with pytest.raises(InputError):
        fxpasses.convert_trained(frozen(), [torch.randn(2, 4, 9, 7)])


def test_bits_are_what_was_asked_for() -> None:
    assert facts_of(prepared(), "test").bits["wide"] == LayerBits(4, 3)


BITS = (4, 8, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "bits"), [(name, BITS[number % 3]) for number, name in enumerate(TINY)])
def test_every_tiny_net(name: str, bits: int, tmp_path: Path) -> None:
    config = replace(FEW_BITS, weight_bits=bits, activation_bits=bits, end_bits=bits)
    data = calibration_data(TINY[name])
    graph = fxpasses.prepare_training(captured(name), data, config)
    one_step(graph, data[0], frozen=False)
    graph = fxpasses.freeze_training(graph, data)
    one_step(graph, data[0], frozen=True)
    int8 = fxpasses.convert_trained(graph, data)
    to_onnx(int8, tmp_path / "trained.onnx", verify=False)  # parity compares every tensor
    found = parity(int8, data, onnx_path=tmp_path / "trained.onnx", node_images=8)
    assert found.max_lsb_at_any_node <= 1  # float islands may be a step off, as after post-training quantization


def one_step(graph: torch.fx.GraphModule, inputs: tuple[torch.Tensor, ...], *, frozen: bool) -> None:
    """Do one step towards smaller outputs, if there are parameters to train."""
    outputs = [y for y in pytree.tree_leaves(graph(*inputs)) if isinstance(y, torch.Tensor) and y.requires_grad]
    if outputs:
        optimizer = optimizer_of(graph, RunSettings(lr=1e-3, frozen_lr=0.1), frozen=frozen)
        torch.stack([y.square().mean() for y in outputs]).sum().backward()
        optimizer.step()
