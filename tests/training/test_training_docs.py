"""The code of docs/training.md runs, in order."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import fx

from fxpasses.graph.stages import Stage, stage_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_code_runs() -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL):
        exec(compile(block, str(DOCUMENT), "exec"), names)
        int8 = names["int8"]
        assert isinstance(int8, fx.GraphModule) and stage_of(int8) is Stage.QUANTIZED
        assert int8(torch.randn(2, 1, 8, 8)).shape == (2, 3)
