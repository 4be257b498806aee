"""Parts of a batch, whose sizes are computed: the file gives them for any batch, in both runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

import fxpasses


class Joined(nn.Module):
    """Two inputs in one batch, taken apart again."""

    def __init__(self, parts: Callable[[Tensor, Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.parts = nn.Linear(6, 4), parts

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        first, second = self.parts(self.layer(torch.cat([a, b])), a, b)
        result: Tensor = (first - second).relu()
        return result


PARTS: dict[str, Callable[[Tensor, Tensor, Tensor], Any]] = {
    "halves": lambda both, a, b: both.chunk(2),
    "a size for all": lambda both, a, b: torch.split(both, a.shape[0]),
    "a size for each": lambda both, a, b: torch.split(both, [a.shape[0], b.shape[0]]),
}


def rows(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 6, generator=generator), torch.randn(count, 6, generator=generator)


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_any_batch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = fxpasses.QuantConfig(target="x86-avx2")  # needs no session option on any CPU
    int8 = fxpasses.quantize(Joined(PARTS[name]).eval(), rows(2), [rows(2), rows(3)], config)
    path = fxpasses.export.to_onnx(int8, tmp_path / "m.onnx")
    assert not {"SplitToSequence", "SequenceAt"} & {node.op_type for node in onnx.load(path).graph.node}
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (2, 3, 5):
        given = rows(count)
        found = session.run(None, dict(zip(("a", "b"), (x.numpy() for x in given), strict=True)))[0]
        assert found.shape == (count, 4)
        assert torch.allclose(torch.from_numpy(found), int8(*given), atol=1e-5)
