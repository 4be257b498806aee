"""Budgets are met closely, or the error says that they cannot be met."""

from __future__ import annotations

import pytest
import torch
from pruning_nets import PRUNING_NETS

import fxpasses as fx
from fxpasses.measure.model_size import count_macs, count_parameters, module_bytes
from fxpasses.models.nets.cifar_resnet import CifarResNet
from fxpasses.models.training.settle import settle
from fxpasses.pruning import (
    Budget,
    Removal,
    channel_scores,
    choose_channels,
    choose_within,
    cost_of,
    find_dependencies,
    shrink,
)

NET = PRUNING_NETS["chain"]
GRAPH = fx.fuse(fx.capture(NET.build(), NET.example_inputs()))
DEPENDENCIES = find_dependencies(GRAPH)
SCORES = channel_scores(GRAPH)


@pytest.mark.parametrize("resource", ["macs", "params", "bytes"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_met_and_counted_on_what_is_left(resource: str, share: float) -> None:
    fit = choose_within(DEPENDENCIES, Budget(resource, share), SCORES)  # type: ignore[arg-type]
    small = shrink(fit.removal)
    counts = {
        "macs": lambda graph: count_macs(graph, NET.example_inputs()).macs,
        "params": lambda graph: count_parameters(graph).params,
        "bytes": module_bytes,
    }
    left = float(counts[resource](small) or 0) / float(counts[resource](GRAPH) or 1)
    assert left <= share + 0.01, "ptflops counts biases, too"
    assert fit.share == pytest.approx(left, abs=0.01)
    assert fit.share > share - 0.2, "no more than needed, in steps of a channel of 8 and 10"


def test_macs_are_ptflops_without_biases() -> None:
    model = settle(CifarResNet(8))
    inputs = (torch.randn(2, 3, 32, 32),)
    graph = fx.fuse(fx.capture(model, inputs))
    dependencies = find_dependencies(graph)
    macs = cost_of(choose_within(dependencies, Budget("macs", 0.5), channel_scores(graph)).removal.none()).macs
    found = count_macs(graph, inputs)
    counted = found.ptflops
    assert found.macs == macs
    assert counted is not None and 0 < counted - macs < 0.02 * counted


def test_measured() -> None:
    """Any measured cost can have a budget; here it is the number of channels left."""

    def channels_left(removal: Removal) -> float:
        return 18 - len(removal.classes)

    fit = choose_within(DEPENDENCIES, Budget("latency", 0.5), SCORES, measure=channels_left)
    assert fit.share <= 0.5 and len(fit.removal.classes) == 9


def test_global_and_rounded() -> None:
    fit = choose_within(DEPENDENCIES, Budget("macs", 0.5), SCORES, scope="global", round_to=2)
    assert fit.share <= 0.5
    assert all(int(flags.sum()) % 2 == 0 for flags in fit.removal.channels().values())


def test_a_coarse_step_is_given_back() -> None:
    """All layers lose four channels at once, because counts are multiples of 4; as many as the budget allows are
    restored.
    """
    model = settle(CifarResNet(20))
    graph = fx.fuse(fx.capture(model, (torch.randn(2, 3, 32, 32),)))
    dependencies, budget = find_dependencies(graph), Budget("macs", 0.7)
    scores = channel_scores(graph)
    fit = choose_within(dependencies, budget, scores, round_to=8)
    uniform = choose_channels(dependencies, fit.ratio, scores, round_to=8)
    assert set(fit.removal.classes) < set(uniform.classes)
    dense = cost_of(uniform.none()).macs
    assert cost_of(uniform).macs / dense < fit.share <= 0.7
    assert all(int(flags.sum()) % 8 == 0 for flags in fit.removal.channels().values())


def test_parsing() -> None:
    assert Budget.parse("macs=0.5") == Budget("macs", 0.5)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("macs", "budget 'macs'[\\s\\S]*RESOURCE=SHARE"),
        ("mac=0.5", "budget of 'mac'[\\s\\S]*did you mean 'macs'"),
        ("flops=0.5", "budget of 'flops'"),
        ("macs=1.5", "budget macs=1.5"),
        ("macs=0", "budget macs=0"),
    ],
)
def test_bad_budgets(text: str, error: str) -> None:
    with pytest.raises(fx.InputError, match=error):
        Budget.parse(text)


def test_what_cannot_be_met() -> None:
    with pytest.raises(fx.InputError, match=r"budget params=0.001[\s\S]*is left with 98%"):
        choose_within(DEPENDENCIES, Budget("params", 0.001), SCORES)
    with pytest.raises(fx.InputError, match="budget of latency"):
        choose_within(DEPENDENCIES, Budget("latency", 0.5), SCORES)
