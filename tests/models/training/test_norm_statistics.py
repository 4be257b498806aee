"""Statistics are kept or replaced according to their effect on the outputs."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.models.training.norm_statistics import KEPT, choose_statistics, distance


def seeded(seed: int, shift: float = 0.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(32, 3, 5, 5, generator=generator) + shift for _ in range(3)]


def settled() -> nn.Sequential:
    """Network with the statistics of ``seeded(0)``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, momentum=None), nn.ReLU(), nn.Flatten(), nn.Linear(72, 4)
        )
    with torch.no_grad():
        for inputs in seeded(0):
            net(inputs)
    return net.eval()


def norm_of(net: nn.Sequential) -> nn.BatchNorm2d:
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


def test_an_unchanged_network_keeps_its_statistics_bit_for_bit() -> None:
    net = settled()
    before = copy.deepcopy(net.state_dict())
    found = choose_statistics(net, net, {"shifted": lambda: seeded(1, shift=2.0)}, lambda: seeded(2))
    assert list(found) == [KEPT, "shifted"] and found[KEPT] == pytest.approx(0, abs=1e-6) and found["shifted"] > 0.05
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not net.training


def test_statistics_that_no_longer_hold_are_replaced_by_the_nearest() -> None:
    net = settled()
    reference = copy.deepcopy(net)
    norm = norm_of(net)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean += 1.0
    found = choose_statistics(
        net, reference, {"shifted": lambda: seeded(1, shift=2.0), "alike": lambda: seeded(1)}, lambda: seeded(2)
    )
    assert next(iter(found)) == "alike" and found["alike"] < 0.1 * min(found[KEPT], found["shifted"])
    torch.testing.assert_close(norm.running_mean, norm_of(reference).running_mean, atol=0.05, rtol=0)


def test_a_network_without_norms_runs_nothing() -> None:
    def batches() -> list[Tensor]:
        raise AssertionError("the data was read")

    assert choose_statistics(nn.Flatten(), nn.Flatten(), {"any": batches}, batches) == {}


def test_a_candidate_without_images() -> None:
    with pytest.raises(InputError, match="BatchNorm statistics"):
        choose_statistics(settled(), settled(), {"none": list}, lambda: seeded(2))


def test_the_distance_of_logits_and_of_other_outputs() -> None:
    logits, others = torch.randn(6, 4), torch.randn(6, 4)
    p, q = F.softmax(logits, 1), F.softmax(others, 1)
    wanted = float((p * (p / q).log()).sum(1).mean())
    assert distance(nn.Identity(), [logits], [others]) == pytest.approx(wanted, rel=1e-5)
    maps, twice = torch.randn(2, 3, 4), nn.Identity()
    assert distance(twice, [maps], [2 * maps]) == pytest.approx(1.0)
    assert distance(nn.Identity(), [logits], [others * math.nan]) == math.inf
