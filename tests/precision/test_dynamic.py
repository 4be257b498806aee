"""Dynamic int8: the same logits in both runtimes, and the refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lowered_nets import changed, images, mixed, sqnr_db
from torch import nn

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.measure.runners import onnx_runner
from fxpasses.precision.dynamic import DynamicLinear, to_dynamic


def test_close_to_float_and_equal_in_both_runtimes(tmp_path: Path) -> None:
    lowered = to_dynamic(mixed())
    assert changed(lowered) == ["first", "last"]
    path = to_onnx(lowered, tmp_path / "model.onnx")
    operators = [n.op_type for n in read_onnx(path).graph.node]
    assert operators.count("DynamicQuantizeLinear") == operators.count("MatMulInteger") == 2
    with torch.no_grad():
        expected, found = mixed()(images()), lowered(images())
    assert sqnr_db(expected, found) > 30
    torch.testing.assert_close(onnx_runner(path, "int8")(images()), found, rtol=0, atol=2e-2)
    assert sqnr_db(found, onnx_runner(path, "int8")(images())) > 40


def test_seven_bits_without_vnni() -> None:
    lowered = to_dynamic(mixed(), "x86-avx2")
    layers = [m for m in lowered.modules() if isinstance(m, DynamicLinear)]
    assert max(int(m.weight.abs().max()) for m in layers) == 63


def test_nothing_to_quantize() -> None:
    graph = fxpasses.fuse(fxpasses.capture(nn.Conv2d(3, 4, 3).eval(), torch.randn(2, 3, 6, 6)))
    with pytest.raises(InputError, match=r"no layer it could quantize: 1 × conv2d(.|\n)*use static quantization"):
        to_dynamic(graph)


def test_not_for_gpus() -> None:
    with pytest.raises(InputError, match="on CPUs only"):
        to_dynamic(mixed(), "cuda")
