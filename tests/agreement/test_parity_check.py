"""Parity says "exact" of artifacts that are, and names the node of those that are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from int8_files import NETS, file_of, inputs_of, model_of
from onnx import numpy_helper
from tiny_graphs import fused, quantized
from tiny_nets.share import each_net
from torch import Tensor, nn

import fxpasses
from fxpasses.agreement import parity_check
from fxpasses.agreement.parity_check import Agreement, NodeAgreement, ParityReport
from fxpasses.errors import GraphError, InputError
from fxpasses.export import parity
from fxpasses.export.torch_int8 import to_torch
from fxpasses.quantization.numbers import ops

KEYS = {"images", "top1_agreement", "max_lsb", "fraction_differing", "max_lsb_at_any_node", "first_divergence",
        "node_images", "against_reference", "nodes"}  # fmt: skip

NET = "adaptive_pool_to_1"


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", each_net(NETS))
def test_good_artifacts_are_exact(name: str, tmp_path: Path) -> None:
    path = _file(tmp_path / "model.onnx", file_of(name))
    report = parity(quantized(name), [inputs_of(name, 3), inputs_of(name, 2, seed=3)], onnx_path=path, node_images=4)
    assert report.is_exact
    assert report.first_divergence is None
    assert (report.images, report.node_images) == (5, 4)
    assert report.top1_agreement in (None, 100.0)
    quantizes = [n.name for n in quantized(name).graph.nodes if n.target is ops.quantize]
    assert [n.node for n in report.nodes if n.runtime == "torch"] == quantizes
    assert [n.node for n in report.nodes if n.runtime == "onnxruntime"] == quantizes
    assert all(n.agreement.values for n in report.nodes)


def test_exports_the_file_itself_if_none_is_given() -> None:
    assert parity(quantized("linear_on_image"), [inputs_of("linear_on_image")]).is_exact


def test_json_has_the_keys_of_the_report(tmp_path: Path) -> None:
    path = _file(tmp_path / "model.onnx", file_of(NET))
    document = json.loads(json.dumps(parity(quantized(NET), inputs_of(NET), onnx_path=path).to_json()))
    assert document.keys() == KEYS
    assert (document["images"], document["top1_agreement"], document["max_lsb"]) == (3, 100.0, 0)
    assert document["against_reference"].keys() == {"torch", "onnxruntime"}
    assert document["nodes"][0].keys() == {"node", "runtime", "values", "differing", "max_lsb", "fraction_differing"}


def test_progress_is_told_of_every_batch(tmp_path: Path) -> None:
    path, told = _file(tmp_path / "model.onnx", file_of(NET)), list[int]()
    parity(quantized(NET), [inputs_of(NET, b)[0] for b in (2, 1, 4)], onnx_path=path, progress=told.append)
    assert told == [2, 1, 4]


def _alter(model: onnx.ModelProto, part: str) -> None:
    """Change one integer of the first weight, or the first output scale, of the file."""
    tensors = {t.name: t for t in model.graph.initializer}
    if part == "weight":
        conv = next(n for n in model.graph.node if n.op_type == "Conv")
        dequantize = next(n for n in model.graph.node if conv.input[1] in n.output)
        name = dequantize.input[0]
    else:
        quantize = [n for n in model.graph.node if n.op_type == "QuantizeLinear"][1]
        name = f"{quantize.output[0]}_other_scale"
        scale = numpy_helper.to_array(tensors[quantize.input[1]])
        model.graph.initializer.append(numpy_helper.from_array(np.float32(scale * np.float32(1.25)), name))
        quantize.input[1] = name
        return
    value = numpy_helper.to_array(tensors[name]).copy()
    value[0, 0] = -value[0, 0] + 31
    tensors[name].CopyFrom(numpy_helper.from_array(value, name))


@pytest.mark.parametrize("part", ["weight", "scale"])
def test_an_altered_file_is_caught_at_its_node(part: str, tmp_path: Path) -> None:
    model = model_of(file_of("residual_block"))
    _alter(model, part)
    path = _file(tmp_path / "model.onnx", model.SerializeToString())
    report = parity(quantized("residual_block"), [inputs_of("residual_block")], onnx_path=path)
    altered = [n.name for n in quantized("residual_block").graph.nodes if n.target is ops.quantize][1]
    assert not report.is_exact
    assert report.first_divergence == f"{altered} (onnxruntime)"
    differing = {(n.node, n.runtime) for n in report.nodes if n.agreement.max_lsb}
    assert differing == {(altered, "onnxruntime")}
    assert report.logits.max_lsb > 0
    assert report.reference["torch"].max_lsb == 0 < report.reference["onnxruntime"].max_lsb
    assert altered in str(report)


class _OffByOne(nn.Module):
    def __init__(self, kernel: nn.Module) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, *inputs: Tensor) -> Tensor:
        right: Tensor = self.kernel(*inputs)
        wrong = right.clone()
        wrong[0].flatten()[0] += 1 if int(right[0].flatten()[0]) < 255 else -1
        return wrong


def test_an_altered_kernel_is_caught_at_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    altered = [n.name for n in quantized("residual_block").graph.nodes if n.target is ops.quantize][2]

    def broken(gm: torch.fx.GraphModule, engine: str | None = None) -> nn.Module:
        module = to_torch(gm, "reference")
        setattr(module, f"int8_{altered}", _OffByOne(module.get_submodule(f"int8_{altered}")))
        return module

    monkeypatch.setattr(parity_check, "to_torch", broken)
    path = _file(tmp_path / "model.onnx", file_of("residual_block"))
    report = parity(quantized("residual_block"), [inputs_of("residual_block")], onnx_path=path)
    assert report.first_divergence == f"{altered} (torch)"
    differing = {(n.node, n.runtime): n.agreement for n in report.nodes if n.agreement.max_lsb}
    assert differing.keys() == {(altered, "torch")}
    assert (differing[altered, "torch"].differing, differing[altered, "torch"].max_lsb) == (1, 1)


def test_a_net_with_float_inside() -> None:
    report = parity(quantized("layer_norm"), [inputs_of("layer_norm")])
    assert report.max_lsb_at_any_node <= 1
    assert report.images == 3


@pytest.mark.parametrize("other", ["two_inputs", "residual_block", "embedding_linear"])
def test_the_file_of_another_model(other: str, tmp_path: Path) -> None:
    path = _file(tmp_path / "other.onnx", file_of(other))
    with pytest.raises(InputError, match=r"(?s)other.onnx.*why: .*fix: use the file of this model"):
        parity(quantized(NET), [inputs_of(NET)], onnx_path=path)


def test_a_file_of_another_origin_with_other_outputs(tmp_path: Path) -> None:
    model = model_of(file_of("residual_block"))
    del model.metadata_props[:]
    path = _file(tmp_path / "other.onnx", model.SerializeToString())
    with pytest.raises(InputError, match=r"its outputs have other shapes\n  fix: use the file of this model"):
        parity(quantized(NET), [inputs_of(NET)], onnx_path=path)


def test_no_file_and_no_onnx(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        parity(quantized(NET), [inputs_of(NET)], onnx_path=tmp_path / "absent.onnx")
    garbage = _file(tmp_path / "garbage.onnx", b"this is no model")
    with pytest.raises(InputError, match=r"is not an ONNX file\n  why: "):
        parity(quantized(NET), [inputs_of(NET)], onnx_path=garbage)


def test_no_data(tmp_path: Path) -> None:
    path = _file(tmp_path / "model.onnx", file_of(NET))
    with pytest.raises(InputError, match=r"parity data\n  why: it is empty\n  fix: pass at least one batch"):
        parity(quantized(NET), [], onnx_path=path)


def test_a_float_graph() -> None:
    with pytest.raises(GraphError, match=r"parity got a graph in stage FLOAT"):
        parity(fused(NET), [inputs_of(NET)])


def test_agreement_accumulates() -> None:
    agreement = Agreement()
    assert agreement.fraction_differing == 0.0
    agreement.add(torch.tensor([0.0, 0.4, -1.2, 3.0]))
    agreement.add(torch.zeros(4))
    agreement.add(torch.zeros(0))
    assert (agreement.values, agreement.differing, agreement.max_lsb) == (8, 2, 3)
    assert agreement.fraction_differing == 0.25


def test_an_empty_report() -> None:
    report = ParityReport()
    assert report.top1_agreement is None
    assert report.is_exact and report.first_divergence is None


def test_a_report_names_the_first_node_that_differs() -> None:
    report = ParityReport(nodes=[NodeAgreement("conv_int8", "torch", Agreement(10, 1, 2))])
    assert not report.is_exact
    assert str(report).endswith("first at conv_int8 (torch)")


@pytest.mark.parametrize(("outputs", "told"), [(1, None), (2, 100.0)])
def test_one_number_has_no_top_class(outputs: int, told: float | None) -> None:
    """A regressor's output is no decision between classes."""
    x = torch.randn(4, 3)
    report = parity(fxpasses.quantize(nn.Sequential(nn.Linear(3, outputs)).eval(), x, [x]), [x])
    assert report.top1_agreement == told
    assert ("top-1" in str(report)) is (told is not None)
