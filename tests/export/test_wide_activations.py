"""Activations of 16 bits: nearer to float than bytes, within a step of exact arithmetic in both runtimes; refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cli_runs import SMALL, is_refused
from cli_runs import fxpasses as run_fxpasses
from lowered_nets import sqnr_db
from tiny_graphs import fresh_inputs, fused, outputs_of, quantized
from tiny_nets.all_nets import TINY

import fxpasses
from fxpasses.agreement.parity_check import parity
from fxpasses.audit.audit_file import audit
from fxpasses.errors import InputError
from fxpasses.export.torch_int8 import to_torch
from fxpasses.export.wide_activations import WIDE_OPSET, has_wide_activations
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.numbers import ops

WIDE = QuantConfig(activation_bits=16)

NETS = ["channel_shuffle"]
"""An operator torch lacks for these integers."""
MORE = [
    *("residual_padded_shortcut", "conv_depthwise_bn_relu6", "squeeze_excite", "attention", "cat", "embedding_linear"),
    *("pixel_shuffle", "conv_transpose2d_bn", "layer_norm", "max_pools"),
]


@pytest.mark.parametrize("name", [*NETS, *(pytest.param(n, marks=pytest.mark.slow) for n in MORE)])
def test_within_a_step_of_exact_arithmetic_and_nearer_to_float(name: str, tmp_path: Path) -> None:
    graph, inputs = quantized(name, WIDE), fresh_inputs(TINY[name], seed=9)
    report = parity(graph, [inputs], onnx_path=fxpasses.export.to_onnx(graph, tmp_path / "model.onnx"))
    assert report.nodes and report.max_lsb_at_any_node <= 1
    fxpasses.export.save(graph, tmp_path / "model.pt2")
    (float_y, *_), (wide, *_) = outputs_of(fused(name), inputs), outputs_of(graph, inputs)
    (loaded, *_) = outputs_of(fxpasses.export.load(tmp_path / "model.pt2"), inputs)
    assert torch.equal(loaded, wide)
    (bytes_y, *_) = outputs_of(quantized(name), inputs)
    assert sqnr_db(float_y, wide) > sqnr_db(float_y, bytes_y)


def test_grids_by_target() -> None:
    for target, dtype in (("x86", torch.uint16), ("arm", torch.uint16), ("cuda", torch.int16)):
        graph = quantized("conv_bn_relu", replace(WIDE, target=target))
        grids = {node.args[3] for node in graph.graph.nodes if node.target is ops.quantize}
        assert grids == {dtype}


def test_torch_computes_in_float_between_the_integers() -> None:
    graph = quantized("conv_bn_relu", WIDE)
    assert has_wide_activations(graph) and not has_wide_activations(quantized("conv_bn_relu"))
    assert not has_wide_activations(fused("conv_bn_relu"))
    assert to_torch(graph) is graph
    inputs = fresh_inputs(TINY["conv_bn_relu"], seed=9)
    (exact, *_), (found, *_) = outputs_of(to_torch(graph, "reference"), inputs), outputs_of(graph, inputs)
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-3)
    with pytest.raises(InputError, match=r"engine 'x86' with activations of 16 bits(.|\n)*'plain'"):
        to_torch(graph, "x86")


@pytest.mark.slow
def test_the_audit_says_why_it_is_slow(tmp_path: Path) -> None:
    path = fxpasses.export.to_onnx(quantized("conv_bn_relu", WIDE), tmp_path / "model.onnx")
    report = audit(path)
    assert report.opset == WIDE_OPSET and not report.int8_ops
    assert [operator.reason for operator in report.float_heavy] == ["uint16 has no kernel; only 8 bits have"]


@pytest.mark.slow
def test_the_audit_knows_what_moves_16_bits(tmp_path: Path) -> None:
    report = audit(fxpasses.export.to_onnx(quantized("linear_on_image", WIDE), tmp_path / "model.onnx"))
    assert report.int8_ops
    assert not report.predicted_but_not_fused and not report.fused_but_not_predicted


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path) -> None:
    done = run_fxpasses("quantize", *SMALL, "--activation-bits", "16", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["recipe"]["activation_bits"] == 16
    assert any("activations have 16 bits: no CPU kernel" in warning for warning in report["warnings"])
    assert report["parity"]["max_lsb_at_any_node"] <= 1
    assert run_fxpasses("parity", tmp_path / "out").code == 0
    searched = run_fxpasses("quantize", *SMALL, "--activation-bits", "16", "--max-drop", "1", "--out", tmp_path / "s")
    is_refused(searched, "--max-drop with --activation-bits 16")


def test_files_that_cannot_hold_them(tmp_path: Path) -> None:
    graph = quantized("conv_bn_relu", WIDE)
    with pytest.raises(InputError, match=r"form 'qoperator' with activations of 16 bits"):
        fxpasses.export.to_onnx(graph, tmp_path / "model.onnx", form="qoperator")
    with pytest.raises(InputError, match=r"opset 18 with activations of 16 bits(.|\n)*from opset 21 on"):
        fxpasses.export.to_onnx(graph, tmp_path / "model.onnx", opset=18)
    assert not list(tmp_path.iterdir())
