"""docs/python.md is run as it is printed, and every call in its table exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from repository import ROOT
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fxpasses as fx

PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    images = torch.randn(16, 3, 9, 7)
    layers = (nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    names: dict[str, object] = {
        "model": nn.Sequential(*layers, nn.Linear(32, 5)).eval(),
        "example_inputs": images[:2],
        "loader": DataLoader(TensorDataset(images, torch.arange(16) % 5), batch_size=8),
    }
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/python.md", "exec"), names)
    logits = names["logits"]
    assert isinstance(logits, torch.Tensor) and logits.shape == (2, 5)
    printed = capsys.readouterr().out
    assert printed.startswith("PrunedModel(MACs ")
    assert "0 LSB" in printed and "int8 throughout" in printed and "p50" in printed


def test_the_calls_of_the_table_exist() -> None:
    calls = re.findall(r"`fx\.([\w.]+)\(", PAGE)
    assert len(calls) > 8
    for call in calls:
        found: object = fx
        for name in call.split("."):
            found = getattr(found, name)
        assert callable(found)
