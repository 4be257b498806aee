"""Sensitivity on another device: the numbers of the CPU, and outputs of several batches are read together.

Without a GPU, the CPU counts as another device where values are compared, and tensors without values stand in for it
where nothing may be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch
from sensitivity_cases import calibrated, evaluation, sensitivity
from torch import Tensor, nn

import fxpasses
from fxpasses.graph.devices import without_tf32
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity import on_device, scoring
from fxpasses.sensitivity.calibrated import calibrate_once
from fxpasses.sensitivity.on_device import CPU, OnDevice, lowered, placed
from fxpasses.sensitivity.quant import quant_sensitivity
from fxpasses.sensitivity.scoring import Scorer

META = torch.device("meta")


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "is_elsewhere", lambda device: True)
    monkeypatch.setattr(scoring, "AT_ONCE", 3)


@pytest.mark.usefixtures("remote")
def test_the_measurements_are_the_cpus() -> None:
    found, expected = quant_sensitivity(calibrated(), evaluation), sensitivity()
    assert isinstance(placed(calibrated().float_graph, CPU), OnDevice)
    assert [asdict(layer.alone) for layer in found.layers] == [asdict(layer.alone) for layer in expected.layers]
    kept = [asdict(layer.kept_float) for layer in found.layers]
    assert kept == [asdict(layer.kept_float) for layer in expected.layers] and found.int8 == expected.int8
    assert found.ranges == expected.ranges


def test_a_model_elsewhere_is_a_copy_and_reads_nothing() -> None:
    graph = calibrated().float_graph
    there = placed(graph, META)
    assert isinstance(there, OnDevice) and {p.device for p in graph.parameters()} == {CPU}
    made = there(evaluation()[0][0])
    assert isinstance(made, Tensor) and made.device == META
    assert placed(graph, CPU) is graph


def test_batches_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(calibrated().float_graph, evaluation)
    monkeypatch.setattr(scoring, "AT_ONCE", 3)
    told: list[str] = []

    def model(*inputs: Tensor) -> Tensor:
        told.append("run")
        y: Tensor = calibrated().float_graph(*inputs)
        return y

    def here(outputs: object) -> object:
        told.append("read")
        return outputs

    def data() -> Iterator[Any]:
        return iter(evaluation())

    monkeypatch.setattr(scoring, "_here", here)
    monkeypatch.setattr(scorer, "batches", data)
    given = OnDevice(Called(model), CPU)
    assert scorer.score(given) == scorer.float_score
    assert told == ["run"] * len(evaluation()) + ["read"] * len(evaluation())


class Called(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> object:
        return self.function(*inputs)


def test_int8_kernels_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def to_torch(int8: object, *, device: torch.device | None = None) -> nn.Module:
        asked.append(device)
        return nn.Identity()

    monkeypatch.setattr(on_device, "to_torch", to_torch)
    assert isinstance(lowered(calibrated().convert(), torch.device("cuda")), OnDevice)
    assert isinstance(lowered(calibrated().convert(), CPU), nn.Identity) and asked == [torch.device("cuda"), None]


def test_calibration_is_told_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(fxpasses.errors.InputError, match="models run on the CPU or on NVIDIA GPUs"):
        calibrate_once(calibrated().float_graph, QuantConfig(), [evaluation()[0][0]], device="meta")


def test_convolutions_are_not_in_tf32_and_the_setting_comes_back() -> None:
    before, found = torch.backends.cudnn.allow_tf32, list[bool]()
    for device in (torch.device("cuda"), CPU):
        with without_tf32(device):
            found.append(torch.backends.cudnn.allow_tf32)
    assert found == [False, before] == [False, True] and torch.backends.cudnn.allow_tf32 == before
