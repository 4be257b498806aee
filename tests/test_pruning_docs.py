"""The guide to pruning: its code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "pruning.md"


def test_code_runs() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(120, 5))
    names: dict[str, object] = {"model": model, "example_inputs": torch.randn(2, 3, 9, 7)}
    (block,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    exec(compile(block, str(GUIDE), "exec"), names)
    small = names["small"]
    assert isinstance(small, nn.Module)
    assert small(torch.randn(2, 3, 9, 7)).shape == (2, 5)
    assert sum(p.numel() for p in small.parameters()) < 0.8 * sum(p.numel() for p in model.parameters())
