"""Each tensor of integers is compared with its float twin, up to the factors of channels."""

from __future__ import annotations

import pytest
import torch
from int8_files import inputs_of
from tiny_graphs import fused, own_copy, quantized
from torch import fx

from fxpasses.graph.meta_keys import HISTOGRAM, SQNR
from fxpasses.measure.tensor_sqnr import BINS, note_tensor_errors
from fxpasses.quantization.numbers import ops
from fxpasses.reports.layers import layers


def noted(name: str, float_graph: fx.GraphModule | None = None) -> dict[str, fx.Node]:
    graph = own_copy(quantized(name))
    note_tensor_errors(float_graph or fused(name), graph, [inputs_of(name)])
    return {n.name: n for n in graph.graph.nodes if n.target is ops.quantize}


def test_eight_bits_are_30_to_50_decibel_and_every_integer_is_counted() -> None:
    found = noted("conv_bn_relu")["relu_int8"]
    assert 30 < found.meta[SQNR] < 50
    assert len(found.meta[HISTOGRAM]) == BINS
    assert sum(found.meta[HISTOGRAM]) == 3 * 8 * 7 * 5


def test_factors_of_channels_are_no_noise() -> None:
    """A layer whose channels are scaled, as equalization does, is as near to its integers as before."""
    scaled = own_copy(fused("conv_bn_relu"))
    conv = scaled.get_submodule("0")
    factors = torch.linspace(0.5, 3, 8)
    with torch.no_grad():
        conv.weight.mul_(factors.reshape(-1, 1, 1, 1))  # type: ignore[operator]
        conv.bias.mul_(factors)  # type: ignore[operator]
    plain, other = noted("conv_bn_relu")["relu_int8"], noted("conv_bn_relu", scaled)["relu_int8"]
    assert other.meta[SQNR] == pytest.approx(plain.meta[SQNR], abs=0.1)


def test_other_weights_are_noise() -> None:
    wrong = own_copy(fused("conv_bn_relu"))
    with torch.no_grad():
        wrong.get_submodule("0").weight.copy_(torch.randn(8, 5, 3, 3))  # type: ignore[operator]
    assert noted("conv_bn_relu", wrong)["relu_int8"].meta[SQNR] < 10


def test_of_few_values_nothing_is_said() -> None:
    assert SQNR not in noted("squeeze_excite")["excite_int8"].meta


def test_the_report_has_them() -> None:
    graph = own_copy(quantized("conv_bn_relu"))
    assert "sqnr_db" not in layers(graph)[1]
    note_tensor_errors(fused("conv_bn_relu"), graph, [inputs_of("conv_bn_relu")])
    assert layers(graph)[1]["sqnr_db"] > 30 and len(layers(graph)[1]["histogram"]) == BINS
