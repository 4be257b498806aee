"""A layer that is called several times is stored once, unless onnxruntime needs a session option for the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.export.metadata import session_options_of
from fxpasses.export.onnx_forms import int8_forms
from fxpasses.export.onnx_forms.own_weights import own_weights
from fxpasses.quantization.config import QuantConfig


class Head(nn.Module):
    """One layer on two maps with other ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, 2)
        self.head = nn.Conv2d(16, 16, 3)

    def forward(self, x: Tensor) -> list[Tensor]:
        a = self.first(x).relu()
        b = self.second(a).relu() * 3.7
        return [self.head(a).relu(), self.head(b).relu()]


X = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))


def quantized(target: str) -> fx.GraphModule:
    torch.manual_seed(0)
    return fxpasses.quantize(Head().eval(), X, [X], QuantConfig(target=target))


def weights_of(path: Path) -> list[str]:
    """Names of the weights that layers of 16 channels read."""
    model = onnx.load(path)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    reads = [node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    return [name for name in reads if shapes.get(name) == (16, 16, 3, 3)]


def test_calls_of_a_layer_share_integers_and_have_scales_of_their_own() -> None:
    buffers = dict(quantized("x86-avx2").named_buffers())
    assert torch.equal(buffers["head_int8.weight"], buffers["head_int8_call2.weight"])
    assert not torch.equal(buffers["head_int8.weight_scale"], buffers["head_int8_call2.weight_scale"])


def test_the_file_stores_them_once_and_computes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    int8 = quantized("x86-avx2")
    assert session_options_of(int8) == {}
    once = fxpasses.export.to_onnx(int8, tmp_path / "once.onnx")
    monkeypatch.setattr(int8_forms, "share_weights", own_weights)
    copied = fxpasses.export.to_onnx(int8, tmp_path / "copied.onnx")
    assert len(set(weights_of(once))) == 2 and len(set(weights_of(copied))) == len(weights_of(once)) == 3
    assert copied.stat().st_size - once.stat().st_size > 16 * 16 * 9 - 200
    sessions = [ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (once, copied)]
    found = [session.run(None, {"x": X.numpy()}) for session in sessions]
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    assert fxpasses.export.parity(int8, [X], onnx_path=once).max_lsb_at_any_node == 0


def test_a_file_that_needs_an_option_has_a_weight_for_each(tmp_path: Path) -> None:
    int8 = quantized("x86")
    assert session_options_of(int8)
    names = weights_of(fxpasses.export.to_onnx(int8, tmp_path / "m.onnx"))  # runs with the option before it is there
    assert len(names) == len(set(names)) == 3
