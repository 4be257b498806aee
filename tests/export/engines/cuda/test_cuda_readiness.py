"""Reasons and errors where the kernels cannot run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import torch
from tiny_graphs import quantized

from fxpasses.errors import InputError
from fxpasses.export.engines.cuda.readiness import is_interpreted, require_kernels, why_no_kernels
from fxpasses.export.torch_int8 import to_torch

pytestmark = pytest.mark.usefixtures("interpreter")

GPU = torch.device("cuda")


@pytest.fixture
def old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for call in (lambda: require_kernels(GPU), lambda: to_torch(quantized("conv_bn_relu"), device="cuda:1")):
        with pytest.raises(InputError, match=r"device 'cuda.*'\n.*finds no NVIDIA GPU on this machine\n.*nvidia-smi"):
            call()
    assert "torch finds no NVIDIA GPU" in (why_no_kernels() or "")


def test_a_gpu_that_is_too_old(old_gpu: None) -> None:
    with pytest.raises(InputError, match=r"Tesla T4 has compute capability 7.5, and the int8 kernels need 8.0"):
        require_kernels(GPU)
    assert "Tesla T4" in (why_no_kernels() or "")


def test_a_new_gpu(old_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    require_kernels(GPU)
    assert why_no_kernels() is None


def test_no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"engine 'cuda'\n.*in Triton, which is not installed\n.*pip install triton"):
        require_kernels(GPU)
    assert "pip install triton" in (why_no_kernels() or "")


def test_the_interpreter_is_seen() -> None:
    assert is_interpreted()
    require_kernels(torch.device("cpu"))


@pytest.mark.slow
def test_importing_fxpasses_imports_no_triton() -> None:
    text = "import sys, fxpasses; from fxpasses.export import to_torch; import fxpasses.export.engines.cuda.readiness"
    done = subprocess.run(
        [sys.executable, "-c", f"{text}; sys.exit('triton' in sys.modules)"], check=False, capture_output=True
    )
    assert done.returncode == 0
