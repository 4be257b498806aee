"""Devices by name, and what is said of those that are not there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fxpasses.errors import InputError
from fxpasses.graph.devices import moved, named_device, on_device, usable_device

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "gpus", "match"),
    [
        ("gpu", 0, "torch knows no device of that name\n.*use cuda, cuda:1 or cpu"),
        ("cuda", 0, "finds no NVIDIA GPU on this machine\n.*nvidia-smi"),
        ("cuda:2", 2, "this machine has 2 GPUs, counted from 0\n.*cuda:0"),
        ("meta", 0, "on the CPU or on NVIDIA GPUs"),
    ],
)
def test_a_device_that_cannot_be_used(name: str, gpus: int, match: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(InputError, match=f"device {name!r}\n.*{match}"):
        usable_device(name)


def test_devices_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_device("cpu") == CPU and named_device("cuda:3") == torch.device("cuda", 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert usable_device("cuda") == torch.device("cuda") and usable_device("cuda:0").index == 0


def test_a_module_goes_there_and_back_and_a_nest_of_tensors_too() -> None:
    """The meta device stands for a GPU; what comes back from it has no values, so only the way there is taken."""
    meta, net = torch.device("meta"), nn.Linear(2, 2)
    with pytest.raises(NotImplementedError), moved(net, meta):  # no values to bring back
        assert net.weight.device == meta
    x = torch.zeros(2)
    there = on_device((x, {"a": [x, 3]}), meta)
    assert there[0].device == meta and there[1]["a"][0].device == meta and there[1]["a"][1] == 3
    assert on_device((x,), CPU)[0] is x
    with moved(net := nn.Linear(2, 2), CPU):
        assert net.weight.device == CPU
