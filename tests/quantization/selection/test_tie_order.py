"""A model chooses the same by ``topk`` in PyTorch and in ONNX, though int8 makes many scores equal."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from tiny_graphs import outputs_of
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.quantization.selection.first_topk import first_topk
from fxpasses.quantization.selection.tie_order import order_ties

SPELLINGS: dict[str, Callable[[Tensor], Any]] = {
    "method": lambda x: x.topk(3, 1)[1],
    "function": lambda x: torch.topk(input=x, k=3, dim=-1, largest=False, sorted=True)[0],
    "fields": lambda x: (lambda best: best.values * best.indices)(x.topk(3)),
    "aten": lambda x: torch.ops.aten.topk.default(x, 3)[-1],
    "computed": lambda x: x.topk(x.size(1) // 4)[0],
}


class _Body(nn.Module):
    def __init__(self, body: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Any:
        return self.body(x)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling(spelling: str) -> None:
    gm = fx.symbolic_trace(_Body(SPELLINGS[spelling]))
    x = torch.randn(2, 16)
    before = outputs_of(gm, (x,))
    (made,) = order_ties(gm)
    gm.recompile()
    gm.graph.lint()
    assert made.target is first_topk
    torch.testing.assert_close(outputs_of(gm, (x,)), before, rtol=0, atol=0)


def test_a_tuple_that_the_caller_reads_stays() -> None:
    gm = fx.symbolic_trace(_Body(lambda x: x.topk(3)))
    assert order_ties(gm) == []


class Selecting(nn.Module):
    """Proposals of a two-stage detector: features are gathered where the scores are the best."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.scores, self.head = nn.Linear(8, 16), nn.Linear(16, 1), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x).relu()
        best = (self.scores(features).squeeze(-1) * 2).round().topk(9, dim=1)
        chosen = features.gather(1, best.indices.unsqueeze(-1).expand(-1, -1, 16))
        return self.head(chosen), best.indices


def test_both_runtimes_choose_the_same(tmp_path: Path) -> None:
    """Scores are rounded to few values, so that most of the chosen ones are equal to others that are not."""
    model = Selecting().eval()
    batches = [torch.randn(8, 60, 8) for _ in range(4)]
    int8 = fxpasses.quantize(model, batches[0], batches)
    fxpasses.export.to_onnx(int8, tmp_path / "chosen.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "chosen.onnx"), providers=["CPUExecutionProvider"])
    fxpasses.export.save(int8, tmp_path / "chosen.pt2")
    others = [fxpasses.load(tmp_path / "chosen.pt2"), fxpasses.export.to_torch(int8), copy.deepcopy(int8)]
    for batch in batches:
        values, indices = int8(batch)
        found = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
        assert torch.equal(torch.from_numpy(found[1]), indices)
        torch.testing.assert_close(torch.from_numpy(found[0]), values, rtol=0, atol=1e-6)
        assert all(torch.equal(other(batch)[1], indices) for other in others)
    report = fxpasses.export.parity(int8, batches, onnx_path=tmp_path / "chosen.onnx")
    assert report.logits.max_lsb == 0
