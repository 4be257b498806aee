"""Deployed graphs and their integers: the same numbers, weights of -1, 0 and +1, the same integers in both runtimes."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from binary_nets import SMALL, made
from onnx import numpy_helper
from torch import Tensor, nn

import fxpasses
from fxpasses.binary import METHODS, binary_config, deploy, quantize_binary
from fxpasses.binary.layers import latent_layers
from fxpasses.binary.quantized import binary_layers
from fxpasses.errors import GraphError
from fxpasses.export import parity, to_onnx
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.int8_calls import find_float_results, find_int8_calls


@pytest.mark.parametrize("method", METHODS)
def test_deployed_graphs_compute_what_was_trained(method: str) -> None:
    found = made(method)
    with torch.no_grad():
        assert torch.equal(found.deployed(found.inputs), found.binary(found.inputs))
    assert not latent_layers(found.deployed)
    layers = [m for m in found.deployed.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert {type(layer) for layer in layers} <= {nn.Conv2d, nn.Linear}


def integers_of(graph: torch.fx.GraphModule) -> dict[str, Tensor]:
    layers = {call.name: call.layer.weight for call in find_int8_calls(graph).values() if call.layer is not None}
    return layers | {result.name: result.layer.weight for result in find_float_results(graph).values()}


@pytest.mark.parametrize("method", METHODS)
def test_binary_layers_have_integers_of_one(method: str) -> None:
    found = made(method)
    levels = {0, -1, 1} if method == "twn" else {-1, 1}
    binary = [w for w in integers_of(found.int8).values() if set(w.unique().tolist()) == levels and w[0].numel() > 1]
    assert len(binary) == len(latent_layers(found.binary)) == len(binary_layers(fxpasses.fuse(found.deployed)))


SLOW = [pytest.param(method, marks=pytest.mark.slow) for method in METHODS if method != "xnor"]


@pytest.mark.parametrize("method", ["xnor", *SLOW])
def test_both_runtimes_give_the_same_integers(method: str) -> None:
    found = made(method)
    report = parity(found.int8, [found.inputs])
    assert report.is_exact and report.logits.max_lsb == 0 and report.max_lsb_at_any_node == 0


def test_the_onnx_file_holds_bytes_of_minus_one_and_one(tmp_path: Path) -> None:
    to_onnx(made("xnor").int8, tmp_path / "net.onnx")
    stored = [numpy_helper.to_array(t) for t in onnx.load(tmp_path / "net.onnx").graph.initializer]
    small = [a for a in stored if str(a.dtype) in ("int8", "int4") and a.ndim > 1 and a.size == 16 * 4 * 25]
    assert len(small) == 1 and set(small[0].astype(int).ravel().tolist()) == {-1, 1}


def test_what_takes_levels_apart_is_turned_off() -> None:
    config = binary_config(QuantConfig(target="x86", smoothing=0.5))
    assert not config.equalization and not config.pixel_grid and config.smoothing is None
    assert binary_config().bias_correction


def test_mistakes() -> None:
    found = made("binaryconnect")
    with pytest.raises(GraphError, match="not binarized, or was deployed before"):
        deploy(found.deployed)
    with pytest.raises(GraphError, match="two or three levels for each output"):
        quantize_binary(found.float_graph, [found.inputs], SMALL)
