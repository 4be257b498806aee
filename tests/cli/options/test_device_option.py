"""``--device``: refused at once where there is no GPU, and what it reaches where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_runs import SMALL, fxpasses, is_refused
from tiny_graphs import fused, quantized
from torch import nn

from fxpasses.cli.folders import static_artifacts
from fxpasses.cli.static import qat
from fxpasses.errors import InputError

GPU = torch.device("cuda")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_quantize_without_a_gpu(no_gpu: None, tmp_path: Path) -> None:
    done = fxpasses("quantize", *SMALL, "--device", "cuda", "--out", tmp_path / "out")
    is_refused(done, "torch finds no NVIDIA GPU on this machine")
    assert not (tmp_path / "out").exists()


def test_bench_without_a_gpu(no_gpu: None, tmp_path: Path) -> None:
    is_refused(fxpasses("bench", tmp_path, "--device", "cuda"), "torch finds no NVIDIA GPU on this machine")


@pytest.mark.parametrize("method", ["quant", "prune"])
def test_sensitivity_without_a_gpu(method: str, no_gpu: None, tmp_path: Path) -> None:
    asked = ("digits_cnn", "--data", "digits", "--method", method, "--device", "cuda", "--out", tmp_path / "out")
    is_refused(fxpasses("sensitivity", *asked), "torch finds no NVIDIA GPU on this machine")
    assert not (tmp_path / "out").exists()


def test_training_is_told_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[object] = []

    def start_run(*given: object) -> None:
        asked.extend(one for one in given if isinstance(one, tuple))
        raise InputError("stopped", why="the device was seen", fix="none")

    monkeypatch.setattr(qat, "start_run", start_run)
    monkeypatch.setattr(qat, "usable_device", lambda name: (name, "usable"))
    done = fxpasses("quantize", *SMALL, "--qat", "1", "--device", "cpu", "--out", tmp_path / "out")
    is_refused(done, "the device was seen")
    assert asked == [("cpu", "usable")]


def test_a_device_of_no_name(tmp_path: Path) -> None:
    is_refused(fxpasses("bench", tmp_path, "--device", "gpu"), "choose of cpu, cuda")


def test_other_methods_have_no_kernels_there(tmp_path: Path) -> None:
    asked = ("digits_cnn", "--data", "digits", "--method", "fp16", "--device", "cuda")
    done = fxpasses("quantize", *asked, "--out", tmp_path / "out")
    is_refused(done, "--device with --method fp16")


def test_pytorch_runs_there_and_onnxruntime_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The parts that need a card are stood in for; what is asked of them is looked at."""
    asked: list[tuple[object, ...]] = []

    def runner(module: nn.Module, precision: str, device: torch.device) -> tuple[object, ...]:
        asked.append(("runner", precision, device))
        return "gpu", precision

    def lowered(gm: object, *, device: torch.device | None = None) -> nn.Module:
        asked.append(("to_torch", device))
        return nn.Identity()

    monkeypatch.setattr(static_artifacts, "usable_device", lambda name: GPU)
    monkeypatch.setattr(static_artifacts, "gpu_runner", runner)
    monkeypatch.setattr(static_artifacts, "to_torch", lowered)
    monkeypatch.setattr(static_artifacts, "onnx_runner", lambda path, precision, threads: ("cpu", precision))
    monkeypatch.setattr(static_artifacts, "file_bytes", lambda path: 1)
    graph, int8 = fused("conv_bn_relu"), quantized("conv_bn_relu")
    made = static_artifacts.static_artifacts(tmp_path, graph, int8, nn.Identity(), threads=1, device="cuda")
    runners: list[object] = [artifact.runner for artifact in made]
    assert runners == [("gpu", "fp32"), ("gpu", "int8"), ("cpu", "fp32"), ("cpu", "int8")]
    assert asked == [("runner", "fp32", GPU), ("to_torch", GPU), ("runner", "int8", GPU)]
