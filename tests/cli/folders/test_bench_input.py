"""The input of a benchmark has the batch where the graph has it, and holds what the model reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_runs import fxpasses
from odd_batches import BATCHES
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import fxpasses as fx
from fxpasses.cli.folders.bench_input import input_maker
from fxpasses.errors import InputError
from fxpasses.export import save, to_onnx
from fxpasses.reports.document import build_report, write_report
from fxpasses.signature.free_sizes import free_sizes

PLAIN: dict[str, Any] = {"vocabulary": None}


FEW = ("time_first_layer", "state_pair", "prompt", "features_first")
"""Nets without a free batch, or with it elsewhere than in front."""


@pytest.mark.parametrize("case", [case for case in BATCHES if case.name in FEW], ids=lambda case: case.name)
def test_every_model_takes_its_input_at_other_batch_sizes(case: Any) -> None:
    graph = fx.capture(case.build().eval(), case.make(case.samples), dynamic=case.dynamic)
    free = [dims for dims in free_sizes(graph).inputs if "batch" in dims.values()]
    make = input_maker(PLAIN, graph)
    for batch in (1, 5) if free else ():
        graph(*make(batch))
        tensors = [x for x in pytree.tree_leaves(make(batch)) if isinstance(x, Tensor)]
        for tensor, dims in zip(tensors, free_sizes(graph).inputs, strict=True):
            assert all(tensor.shape[d] == batch for d, name in dims.items() if name == "batch")


def test_tokens_and_ranges_are_the_models() -> None:
    words = fx.capture(nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2)).eval(), torch.randint(7, (2, 4)))
    (tokens,) = input_maker({"vocabulary": 7}, words)(9)
    assert tokens.shape == (9, 4) and tokens.dtype == torch.int64 and 0 <= int(tokens.min()) <= int(tokens.max()) < 7
    ranges = {"vocabulary": None, "inputs": [{"low": 2.0, "high": 3.0}]}
    (values,) = input_maker(ranges, fx.capture(nn.Linear(3, 2).eval(), torch.randn(2, 3)))(50)
    assert 2 <= float(values.min()) < 2.2 and 2.8 < float(values.max()) <= 3


class _Fixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x.reshape(2, 3) @ torch.ones(3, 4)).relu()


def test_a_graph_without_a_free_batch_takes_its_own_size_alone() -> None:
    graph = fx.capture(_Fixed().eval(), torch.randn(2, 3))
    with pytest.raises(InputError, match="batch size 4") as caught:
        input_maker(PLAIN, graph)(4)
    assert "ask for --batch 2" in caught.value.fix
    graph(*input_maker(PLAIN, graph)(2))


class _TimeFirst(nn.Module):
    """``[T, B, 6]``: the batch is dimension 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(6, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.conv(x.permute(1, 2, 0)).relu().mean(2))
        return found


@pytest.mark.slow
def test_bench_of_a_model_whose_batch_is_not_in_front(tmp_path: Path) -> None:
    torch.manual_seed(0)
    example = torch.randn(5, 3, 6)
    int8 = fx.quantize(_TimeFirst().eval(), (example,), [example])
    save(int8, tmp_path / "model.int8.pt2")
    to_onnx(int8, tmp_path / "model.int8.onnx")
    to_onnx(fx.fuse(fx.capture(_TimeFirst().eval(), example)), tmp_path / "model.fp32.onnx")
    details: dict[str, Any] = {
        "spec": "gone.py:net",
        "weights": None,
        "weights_sha256": None,
        "seed": 0,
        "image_size": None,
        "vocabulary": None,
    }
    details |= {"preprocessing": {"mean": [0.0], "std": [1.0]}, "input_shape": [3, 6], "pretrained": True}
    report = build_report(model="time first", data=None, target="x86", variants=(), details={"model_details": details})
    write_report(report, tmp_path / "report.json")
    done = fxpasses("bench", tmp_path, "--batch", "1,4", "--runs", "5", "--json", "-")
    assert done.code == 0, done.err
    measured = {v["name"]: [e["batch"] for e in v["latency"]] for v in json.loads(done.out)["variants"]}
    assert measured == {name: [1, 4] for name in ("torch int8", "onnxruntime fp32", "onnxruntime int8")}
