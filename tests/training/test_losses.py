"""Losses compared with their formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from training_nets import BYTES, prepared

from fxpasses.training import RunSettings, dampening_loss
from fxpasses.training.fake.trained_layer import TrainedLayer
from fxpasses.training.runs.losses import dampening_factor, distilled_loss, is_depthwise


def test_labels_alone() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    assert torch.equal(distilled_loss(logits, labels, None, RunSettings()), F.cross_entropy(logits, labels))


def test_with_a_teacher() -> None:
    logits, taught, labels = torch.randn(5, 3), torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    p, q = torch.softmax(taught / 2, 1), torch.softmax(logits / 2, 1)
    apart = (p * (p / q).log()).sum(1).mean() * 4
    expected = 0.75 * F.cross_entropy(logits, labels) + 0.25 * apart
    found = distilled_loss(logits, labels, taught, RunSettings(distillation=0.25, temperature=2))
    assert torch.allclose(found, expected, atol=1e-6)


def test_dampening_pulls_weights_to_their_integers() -> None:
    graph = prepared()
    before = dampening_loss(graph)
    before.backward()
    moved = [m for m in graph.modules() if isinstance(m, TrainedLayer) and m.weight.grad is not None]
    assert len(moved) == 3 and all(m.step.grad is None for m in moved)  # three layers have four bits
    with torch.no_grad():
        for layer in moved:
            assert layer.weight.grad is not None
            layer.weight.sub_(0.25 * layer.weight.grad)  # half of the way
    assert 0.2 < (dampening_loss(graph) / before).item() < 0.3


def test_of_depthwise_layers_alone() -> None:
    graph = prepared()
    assert is_depthwise(graph.get_submodule("depthwise")) and not is_depthwise(graph.get_submodule("wide"))  # type: ignore[arg-type]
    assert 0 < dampening_loss(graph, every_layer=False).item() < dampening_loss(graph).item()


def test_bytes_do_not_oscillate() -> None:
    assert dampening_loss(prepared(BYTES)).item() == 0


def test_it_grows() -> None:
    settings = RunSettings(dampening=2.0)
    assert [dampening_factor(settings, p) for p in (0.0, 0.5, 1.0, 2.0)] == pytest.approx([0.0, 1.0, 2.0, 2.0])
