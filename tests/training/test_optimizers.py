"""Parameter groups of a graph."""

from __future__ import annotations

import pytest
import torch
from training_nets import frozen, prepared

from fxpasses.quantization.numbers.qparams import IntType
from fxpasses.training import RunSettings, TrainingConfig, frozen_parameter_groups, parameter_groups
from fxpasses.training.runs.optimizers import frozen_rate, optimizer_of, set_rates

SETTINGS = RunSettings(lr=0.5, weight_decay=0.25, frozen_lr=0.125)


def test_weights_decay_and_nothing_else() -> None:
    graph = prepared()
    decaying, others = parameter_groups(graph, SETTINGS)
    names = {id(p): n for n, p in graph.named_parameters()}
    assert {names[id(p)].rpartition(".")[2] for p in decaying["params"]} == {"weight"}
    assert all(p.dim() > 1 for p in decaying["params"]) and len(decaying["params"]) == 5
    assert {names[id(p)].rpartition(".")[2] for p in others["params"]} == {"step", "weight", "bias"}
    assert (decaying["weight_decay"], others["weight_decay"], others["lr"]) == (0.25, 0.0, 0.5)
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_of_a_frozen_graph_of_8_bits() -> None:
    weights, biases = frozen_parameter_groups(frozen(TrainingConfig()), SETTINGS)
    assert len(weights["params"]) == len(biases["params"]) == 5
    assert weights["lr"] == 0.125 and biases["lr"] == 1.25


def test_layers_of_few_bits_have_a_smaller_rate() -> None:
    groups = frozen_parameter_groups(frozen(TrainingConfig(weight_bits=2, activation_bits=2)), SETTINGS)
    by_rate = sorted((group["lr"], len(group["params"])) for group in groups)
    # the first and the last layer have 8 bits; of each rate and of ten times it, weights and biases
    assert by_rate == [(0.125 / 8, 3), (0.125, 2), (0.125 * 10 / 8, 3), (1.25, 2)]


@pytest.mark.parametrize(("high", "share"), [(1, 1 / 8), (3, 3 / 8), (7, 7 / 8), (15, 1), (63, 1), (127, 1)])
def test_rate_by_the_grid(high: int, share: float) -> None:
    assert frozen_rate(SETTINGS, IntType(torch.int8, -high - 1, high)) == SETTINGS.frozen_lr * share


def test_a_phase_has_its_optimizer() -> None:
    made = [optimizer_of(g, SETTINGS, frozen=f) for g, f in ((prepared(), False), (frozen(TrainingConfig()), True))]
    assert [type(m) for m in made] == [torch.optim.SGD, torch.optim.Adam]
    set_rates(made[1], 0.5)
    assert [g["lr"] for g in made[1].param_groups] == [0.0625, 0.625]
