"""A runner of another device, on a device that every machine has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fxpasses.errors import InputError
from fxpasses.measure.matrix.device_runner import DeviceRunner, require_device


def test_it_computes_what_the_module_does() -> None:
    module, x = nn.Linear(3, 2).eval(), torch.randn(4, 3)
    runner = DeviceRunner(module, "fp32", "dense torch fp32 on cpu", device="cpu")
    assert torch.equal(runner(x), module(x)) and torch.equal(runner.outputs(x)[0], module(x))
    assert runner.at_threads(2) is runner


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="torch sees no GPU here"):
        require_device("cuda")
    require_device("cpu")
