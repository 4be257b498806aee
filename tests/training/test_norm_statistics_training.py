"""BatchNorm statistics in training: estimated again as plain averages, or held."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_nets import FEW_BITS, calibration, images, prepared

from fxpasses.errors import InputError
from fxpasses.training import hold_statistics, reestimate_statistics
from fxpasses.training.fake.fake_quantize import ActivationQuantizer
from fxpasses.training.frozen.norm_statistics import norms_of


def test_they_are_averages_over_the_batches() -> None:
    graph = prepared()
    seen: list[torch.Tensor] = []
    norm = norms_of(graph)[0]
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    assert reestimate_statistics(graph, calibration()) == 32 and graph.training
    expected = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    assert isinstance(norm, torch.nn.BatchNorm2d) and norm.running_mean is not None and norm.momentum == 0.1
    assert len(seen) == 4 and torch.allclose(norm.running_mean, expected, atol=1e-5)


def test_nothing_else_moves() -> None:
    graph = prepared(replace(FEW_BITS, ranges="observed"))
    before = {k: v.clone() for k, v in graph.state_dict().items()}
    reestimate_statistics(graph.eval(), calibration())
    moved = {k.rpartition(".")[2] for k, v in graph.state_dict().items() if not torch.equal(v, before[k])}
    assert moved <= {"running_mean", "running_var", "num_batches_tracked"} and not graph.training


def test_without_a_batch() -> None:
    with pytest.raises(InputError, match="it is empty"):
        reestimate_statistics(prepared(), [])


def test_held_ones_stand_in_training() -> None:
    graph = prepared(replace(FEW_BITS, ranges="observed"))
    hold_statistics(graph)
    before = {k: v.clone() for k, v in graph.state_dict().items()}
    graph.train()(images(3))
    assert all(torch.equal(v, before[k]) for k, v in graph.state_dict().items())
    assert all(bool(m.frozen) for m in graph.modules() if isinstance(m, ActivationQuantizer))
