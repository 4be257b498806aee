"""Recurrent layers whose int8 weights onnxruntime can turn to uint8, one by one."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

import fxpasses
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.precision.dynamic import to_dynamic


class Recurrent(nn.Module):
    """Two layers, in both directions where asked."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], *, bidirectional: bool) -> None:
        super().__init__()
        hidden = 320 if kind is nn.GRU else 8  # smaller GRUs stay float
        self.layer = kind(6, hidden, num_layers=2, bidirectional=bidirectional)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)[0]
        return y


def file_of(kind: type[nn.LSTM] | type[nn.GRU], folder: Path, *, bidirectional: bool = False) -> Path:
    torch.manual_seed(0)
    model = Recurrent(kind, bidirectional=bidirectional).eval()
    graph = fxpasses.fuse(fxpasses.capture(model, torch.randn(5, 2, 6)))
    return to_onnx(to_dynamic(graph, "x86"), folder / "model.onnx")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_two_inputs_share_a_zero_point(bidirectional: bool, tmp_path: Path) -> None:
    model = onnx.load(file_of(nn.LSTM, tmp_path, bidirectional=bidirectional))
    layers = [node for node in model.graph.node if node.op_type == "DynamicQuantizeLSTM"]
    zero_points = [node.input[index] for node in layers for index in (9, 11)]
    assert len(layers) == 2 and len(set(zero_points)) == 4


def test_weights_of_a_step_lie_in_its_body(tmp_path: Path) -> None:
    model = onnx.load(file_of(nn.GRU, tmp_path))
    bodies = [a.g for node in model.graph.node if node.op_type == "Scan" for a in node.attribute if a.name == "body"]
    assert len(bodies) == 2
    for body in bodies:
        (product,) = [node for node in body.node if node.op_type == "MatMulInteger"]
        assert product.input[1] in {initializer.name for initializer in body.initializer}
    outside = {initializer.name for initializer in model.graph.initializer}
    read = {name for node in model.graph.node for name in node.input}
    assert outside <= read | {name for body in bodies for node in body.node for name in node.input}


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_onnxruntime_takes_the_file_with_its_option(kind: type[nn.LSTM] | type[nn.GRU], tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    ort.InferenceSession(str(file_of(kind, tmp_path)), options, providers=["CPUExecutionProvider"])


class Twins(nn.Module):
    """Two convolutions of the same weights, which the exporter writes once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.second.load_state_dict(self.first.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(torch.relu(self.first(x)))
        return y


def test_equal_weights_of_two_layers_are_written_twice(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = [torch.randn(4, 8, 6, 6) for _ in range(2)]
    config = fxpasses.QuantConfig(target="x86", equalization=False, bias_correction=False, tie_free=False)
    int8 = fxpasses.quantize(Twins().eval(), data[0], data, config)
    assert torch.equal(int8.get_buffer("first_int8.weight"), int8.get_buffer("second_int8.weight"))
    path = to_onnx(int8, tmp_path / "model.onnx", verify=False)
    read = [n.input[0] for n in onnx.load(path).graph.node if n.op_type == "DequantizeLinear"]
    names = {i.name for i in onnx.load(path).graph.initializer if i.data_type == onnx.TensorProto.INT8 and i.dims}
    weights = [name for name in read if name in names]
    assert len(weights) == 2 == len(set(weights))
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
