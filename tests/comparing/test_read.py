"""Errors for inputs that cannot be compared: other files, modules without inputs, graphs between stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_graphs import fused, observed
from torch import nn

from fxpasses.comparing.read import read_steps
from fxpasses.errors import GraphError, InputError
from fxpasses.export.pt2.save_and_load import save
from fxpasses.precision.half import to_half


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give files that end in \.onnx or \.pt2"):
        read_steps(tmp_path / "model.tflite")


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.pt2"):
        with pytest.raises(InputError, match="there is no such file"):
            read_steps(tmp_path / name)


def test_a_module_wants_inputs() -> None:
    with pytest.raises(InputError, match="inputs=example_inputs"):
        read_steps(nn.Linear(3, 2))
    assert read_steps(nn.Sequential(nn.Linear(3, 2)).eval(), (torch.zeros(1, 3),)).layers[0].operator == "linear"


def test_a_graph_between_two_stages() -> None:
    with pytest.raises(GraphError, match="diff got a graph in stage OBSERVED"):
        read_steps(observed("conv_bn_relu"))


def test_a_lowered_file(tmp_path: Path) -> None:
    lowered = to_half(fused("conv_bn_relu"), "fp16")
    save(lowered, tmp_path / "half.pt2")
    found = read_steps(tmp_path / "half.pt2")
    assert found.kind == "LOWERED graph"
    assert [(s.operator, s.weight.dtype) for s in found.layers if s.weight] == [("conv2d", "float16")]
