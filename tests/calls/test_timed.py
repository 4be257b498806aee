"""``fx.export.bench`` times folders, files, graphs and modules, beside each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from call_folders import NET, int8_folder
from int8_files import file_of
from tiny_graphs import captured, fresh_inputs, quantized
from tiny_nets.all_nets import TINY

import fxpasses as fx
from fxpasses.calls.timed import Subject


def test_a_folder_times_all_its_models(tmp_path: Path) -> None:
    found = fx.export.bench(int8_folder(tmp_path), runs=2, max_seconds=1)
    assert set(found.runners) == {"torch int8", "onnxruntime int8"}
    told = json.loads(json.dumps(found.to_json()))
    assert told["onnxruntime int8"]["latency"][0]["p50_ms"] > 0


def test_models_by_name_in_several_batch_sizes(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(file_of(NET))
    given: dict[str, Subject] = {"float": TINY[NET].build(), "kernels": quantized(NET), "file": tmp_path / "m.onnx"}
    found = fx.export.bench(given, fresh_inputs(TINY[NET], 0), batches=(1, 3), runs=2, max_seconds=1)
    lines = repr(found).splitlines()
    assert [line for line in lines if line.startswith("batch")] == ["batch 1, threads 1", "batch 3, threads 1"]
    assert [line.split()[0] for line in lines[1:4]] == ["float", "kernels", "file"]
    assert all("p50" in line and " ms" in line for line in lines[1:4])


@pytest.mark.slow
def test_what_was_captured_or_exported_knows_its_inputs(tmp_path: Path) -> None:
    (tmp_path / "m.int8.onnx").write_bytes(file_of(NET))
    saved = fx.export.save(quantized(NET), tmp_path / "m.int8.pt2")
    for subject, name in (
        (captured(NET), "torch fp32"),
        (quantized(NET), "torch int8"),
        (tmp_path / "m.int8.onnx", "onnxruntime int8"),
        (saved, "torch int8"),
    ):
        assert list(fx.export.bench(subject, runs=1, max_seconds=1).runners) == [name]


def test_a_tensor_will_do_for_inputs() -> None:
    found = fx.export.bench(torch.nn.ReLU(), torch.zeros(1, 3), runs=1, max_seconds=1)
    assert list(found.runners) == ["torch fp32"]
