"""Parameter groups of a graph."""

from __future__ import annotations

import torch
from training_nets import frozen, prepared

from fxpasses.training import RunSettings, frozen_parameter_groups, parameter_groups
from fxpasses.training.runs.optimizers import optimizer_of, set_rates

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


def test_of_a_frozen_graph() -> None:
    graph = frozen()
    weights, biases = frozen_parameter_groups(graph, SETTINGS)
    assert len(weights["params"]) == len(biases["params"]) == 5
    assert weights["lr"] == 0.125 and biases["lr"] == 1.25


def test_a_phase_has_its_optimizer() -> None:
    made = optimizer_of(prepared(), SETTINGS, frozen=False), optimizer_of(frozen(), SETTINGS, frozen=True)
    assert [type(m) for m in made] == [torch.optim.SGD, torch.optim.Adam]
    set_rates(made[1], 0.5)
    assert [g["lr"] for g in made[1].param_groups] == [0.0625, 0.625]
