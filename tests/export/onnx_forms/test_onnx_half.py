"""bfloat16 storage: half the bytes, the same numbers."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from lowered_nets import images, mixed

from fxpasses.export.onnx_forms.half import store_as_bfloat16
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.measure.runners import onnx_runner
from fxpasses.precision.half import rounded_to_half, to_half


def test_the_same_numbers_from_half_the_bytes(tmp_path: Path) -> None:
    path = to_onnx(rounded_to_half(mixed(), to_half(mixed(), "bf16")), tmp_path / "model.onnx")
    expected, types = onnx_runner(path, "fp32")(images()), [t.data_type for t in read_onnx(path).graph.initializer]
    names = store_as_bfloat16(path)
    stored = [t for t in read_onnx(path).graph.initializer if t.data_type == onnx.TensorProto.BFLOAT16]
    assert len(names) == len(stored) >= 6 and onnx.TensorProto.BFLOAT16 not in types
    assert torch.equal(onnx_runner(path, "bf16")(images()), expected)


def test_what_would_lose_bits_stays_float(tmp_path: Path) -> None:
    path = to_onnx(mixed(), tmp_path / "model.onnx")
    names = store_as_bfloat16(path)
    assert not any("first" in name and "weight" in name for name in names)
