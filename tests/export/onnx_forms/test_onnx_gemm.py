"""Linear layers over tokens as Gemms over rows."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from int8_files import are_equal, exported, file_of, model_of, run_file
from tiny_graphs import close, exact_outputs, fresh_inputs, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.net import tiny
from torch import Tensor, nn

import fxpasses
from fxpasses.export.integer_tensors import OnnxIntegers, torch_integers
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.numbers import ops

OVER_TOKENS = [
    "linear_on_image",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("attention", "multihead_attention")),
]


def kinds(content: bytes) -> list[str]:
    return [n.op_type for n in model_of(content).graph.node]


@pytest.mark.parametrize("name", OVER_TOKENS)
def test_every_linear_layer_is_a_gemm(name: str) -> None:
    content = file_of(name)
    layers = sum(n.target is torch.nn.functional.linear for n in quantized(name).graph.nodes)
    assert kinds(content).count("Gemm") == layers > 0


@pytest.mark.parametrize("name", OVER_TOKENS)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_numbers_stay_for_any_batch(name: str, batch: int) -> None:
    inputs = fresh_inputs(TINY[name], 5, batch)
    assert are_equal(run_file(file_of(name), inputs), exact_outputs(quantized(name), inputs))


@pytest.mark.parametrize("name", OVER_TOKENS)
def test_integer_tensors_keep_names_and_shapes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(file_of(name))
    inputs = fresh_inputs(TINY[name], 6)
    found = OnnxIntegers(path).integers(inputs)
    expected = torch_integers(fxpasses.export.to_torch(quantized(name)), inputs)
    assert {n.name for n in quantized(name).graph.nodes if n.target is ops.quantize} <= found.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    "name",
    ["linear_on_image", *(pytest.param(n, marks=pytest.mark.slow) for n in ("attention", "multihead_attention"))],
)
def test_between_16_bits_weights_are_stored_by_outputs(name: str, tmp_path: Path) -> None:
    graph = quantized(name, QuantConfig(activation_bits=16))
    layers = {tuple(n.args[1].meta["shape"]) for n in graph.graph.nodes if n.target is torch.nn.functional.linear}
    model = onnx.load(fxpasses.export.to_onnx(graph, tmp_path / "m.onnx"))
    gemms = [n for n in model.graph.node if n.op_type == "Gemm"]
    assert all(a.name == "transB" and a.i == 1 for n in gemms for a in n.attribute) and all(n.attribute for n in gemms)
    stored = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    shapes = {i.name: tuple(i.dims) for i in model.graph.initializer}
    assert {shapes[stored[n.input[1]].input[0]] for n in gemms} == layers
    assert {stored[n.input[1]].attribute[0].i for n in gemms} == {0}


def test_what_only_a_norm_reads_stays_float() -> None:
    """No QuantizeLinear behind it, and onnxruntime's QGemm all the same."""
    net = tiny("normed", lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 4)), (2, 3, 6))
    int8 = quantize_net(net)
    content = exported(int8)
    assert [kinds(content).count(k) for k in ("Gemm", "QuantizeLinear", "LayerNormalization")] == [2, 2, 1]
    inputs = fresh_inputs(net, 3, 5)
    assert close(run_file(content, inputs), exact_outputs(int8, inputs))


def test_rows_stay_rows() -> None:
    content = file_of("linear_relu") if "linear_relu" in TINY else file_of("embedding_linear")
    assert "Gemm" in kinds(content)
    assert not any(n.name.endswith("_from_rows") for n in model_of(content).graph.initializer)


class Bare(nn.Module):
    """A layer without bias before one with."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5, bias=False), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.b(self.a(x))
        return y


def test_a_layer_without_bias(tmp_path: Path) -> None:
    net = tiny("bare", Bare, (2, 3, 6))
    int8 = quantize_net(net)
    path = fxpasses.export.to_onnx(int8, tmp_path / "bare.onnx")
    gemms = [n for n in onnx.load(path).graph.node if n.op_type == "Gemm"]
    assert len(gemms) == 2
    inputs = fresh_inputs(net, 1)
    assert are_equal(run_file(path.read_bytes(), inputs), exact_outputs(int8, inputs))
