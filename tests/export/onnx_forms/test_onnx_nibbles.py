"""Four-bit weights take half a byte in the file, and give the integers they gave."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx
import pytest
import torch
from int8_files import are_equal, exported, model_of, run_file
from tiny_graphs import exact_outputs, quantized
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.export.onnx_forms.nibbles import has_nibbles
from fxpasses.quantization.config import QuantConfig


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 64, 3), nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))
        return found


IMAGES = torch.randn(8, 3, 9, 7, generator=torch.Generator().manual_seed(0))


@cache
def nibbles(bits: int = 4, group_size: int | None = None) -> fx.GraphModule:
    config = QuantConfig(observer="minmax", weight_bits=bits, group_size=group_size)
    return fxpasses.quantize(Net().eval(), IMAGES, [IMAGES], config)


@pytest.mark.parametrize("bits", [4, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", ["qdq", pytest.param("qoperator", marks=pytest.mark.slow)])
def test_the_integers_are_those_of_the_graph(form: str, bits: int) -> None:
    content = exported(nibbles(bits), form=form)
    stored = [t.data_type for t in model_of(content).graph.initializer]
    assert stored.count(onnx.TensorProto.INT4) == 2  # the first layer has 27 weights to a channel, and keeps 8 bits
    assert are_equal(exact_outputs(nibbles(bits), (IMAGES,)), run_file(content, (IMAGES,)))


@pytest.mark.parametrize("form", ["qdq", pytest.param("qoperator", marks=pytest.mark.slow)])
def test_groups_are_multiplied_at_load(form: str) -> None:
    int8 = nibbles(group_size=16)
    content = exported(int8, form=form)
    stored = [t.data_type for t in model_of(content).graph.initializer]
    assert stored.count(onnx.TensorProto.INT4) == stored.count(onnx.TensorProto.UINT4) == 2
    assert are_equal(exact_outputs(int8, (IMAGES,)), run_file(content, (IMAGES,)))
    assert len(content) < len(exported(int8, form=form, opset=18))


@pytest.mark.slow
def test_older_opsets_keep_bytes(tmp_path: Path) -> None:
    old = fxpasses.export.to_onnx(nibbles(), tmp_path / "old.onnx", opset=18)
    new = fxpasses.export.to_onnx(nibbles(), tmp_path / "new.onnx")
    assert new.stat().st_size < old.stat().st_size
    assert onnx.load(old).opset_import[0].version == 18 and onnx.load(new).opset_import[0].version == 21


def test_eight_bits_are_no_nibbles() -> None:
    assert not has_nibbles(nibbles(8)) and has_nibbles(nibbles()) and has_nibbles(nibbles(group_size=16))
    small = quantized("residual_block", QuantConfig(observer="minmax", weight_bits=4))
    assert not has_nibbles(small), "a Cast would cost more"
