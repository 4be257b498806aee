"""Calls of the same function with the same arguments are merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from odd_nets import ODD
from tiny_graphs import capture_net, captured, changed_nodes, operators_of, skip_reasons
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.graph.pass_runner import run_passes
from fxpasses.passes.equal_calls import merge_equal_calls


def merged(net: nn.Module) -> fx.GraphModule:
    return run_passes(capture_net(tiny("net", lambda: net)), [merge_equal_calls])


def test_repeated_chains_become_one() -> None:
    gm = run_passes(captured("pooled_twice"), [merge_equal_calls])
    assert len(changed_nodes(gm, "merge_equal_calls")) == 2
    assert sorted(operators_of(gm)) == ["add", "conv2d", "conv2d", "max_pool2d", "relu"]


def test_other_settings_other_inputs_and_other_layers_stay() -> None:
    def body(net: Any, x: Tensor) -> object:
        pooled = F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(x, 5, 1, 2) + F.max_pool2d(-x, 3, 1, 1)
        return net.a(pooled) + net.b(pooled)

    gm = merged(OneInput(body, a=conv(), b=conv()))
    assert changed_nodes(gm, "merge_equal_calls") == []


def test_one_layer_called_twice_on_one_tensor_is_called_once() -> None:
    gm = merged(OneInput(lambda net, x: net.a(x) + F.relu(net.a(x)), a=conv()))
    assert operators_of(gm).count("conv2d") == 1


def test_dropout_that_drops_at_inference_stays() -> None:
    gm = run_passes(capture_net(ODD["dropout_always_twice"]), [merge_equal_calls])
    (why,) = skip_reasons(gm, "merge_equal_calls").values()
    assert why == "like dropout it may be a dropout told to drop values, others each time"


def test_a_graph_with_repeated_calls_can_be_exported(tmp_path: Path) -> None:
    """The ONNX exporter merges equal calls itself, and then quantize nodes could not be matched by their order."""
    net = OneInput(lambda net, x: net.a(F.max_pool2d(x, 2)) + net.b(F.max_pool2d(x, 2)), a=conv(), b=conv()).eval()
    x = torch.randn(2, 5, 9, 7)
    int8 = fxpasses.quantize(net, x, [x])
    assert fxpasses.export.to_onnx(int8, tmp_path / "net.onnx").is_file()
