"""Lowering: one kernel for each integer operation, unchanged float parts, no unused nodes."""

from __future__ import annotations

import pytest
import torch
from contracts import fingerprint
from tiny_graphs import INTEGERS, X86, close, fresh_inputs, fused, outputs_of, own_copy, quantize_net, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, tiny
from tiny_nets.share import each_net
from torch import Tensor, fx, nn

from fxpasses.errors import GraphError
from fxpasses.export.engines.kernel import Kernel
from fxpasses.export.engines.reference import reference_kernel
from fxpasses.export.engines.replace_calls import lower
from fxpasses.graph.meta_keys import INT8_NAME
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, find_float_results, find_int8_calls
from fxpasses.quantization.numbers import ops

BORDER = (ops.quantize, ops.dequantize, ops.dequantize_per_channel)


class Marked(Kernel):
    """Kernel that knows its call, and computes it."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.call = call
        self.kernel = reference_kernel(call)

    def forward(self, *inputs: Tensor) -> Tensor:
        assert self.kernel is not None
        result: Tensor = self.kernel(*inputs)
        return result


def marked(call: Int8Call) -> Kernel | None:
    return Marked(call) if reference_kernel(call) is not None else None


def borders(gm: fx.GraphModule) -> list[fx.Node]:
    return [n for n in gm.graph.nodes if n.target in BORDER]


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_call_becomes_one_kernel_or_its_operator(name: str) -> None:
    calls = find_int8_calls(quantized(name))
    lowered = lower(quantized(name), marked)
    kernels = {m.call.name for m in lowered.modules() if isinstance(m, Marked)}
    read = {n.meta.get(INT8_NAME) for n in lowered.graph.nodes}
    wanted = {c.name for c in calls.values() if reference_kernel(c) is not None}
    assert kernels == wanted & read, "what nobody reads is gone, the rest is there"
    lowered.graph.lint()


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_integer_tensor_has_its_name(name: str) -> None:
    lowered = lower(quantized(name), reference_kernel)
    names = [n.meta[INT8_NAME] for n in lowered.graph.nodes if INT8_NAME in n.meta]
    assert len(set(names)) == len(names)
    quantizing = {n.name for n in quantized(name).graph.nodes if n.target is ops.quantize}
    assert set(names) <= quantizing and bool(names) == bool(quantizing)


@pytest.mark.parametrize("name", each_net(TINY))
def test_computes_what_the_graph_does(name: str) -> None:
    inputs = fresh_inputs(TINY[name], 41)
    found = outputs_of(lower(quantized(name), reference_kernel), inputs)
    expected = outputs_of(quantized(name), inputs)
    assert close(found, expected)
    if not find_float_results(quantized(name)):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_leaves_the_graph_alone() -> None:
    gm = own_copy(quantized("residual_block"))
    before = fingerprint(gm)
    lower(gm, reference_kernel)
    assert fingerprint(gm) == before


def test_quantize_and_dequantize_remain_only_at_the_borders() -> None:
    """There is one quantize at the start, one dequantize at the end, and none in between."""
    for name in ("residual_block", "squeeze_excite", "max_pools", "channel_shuffle"):
        left = borders(lower(quantized(name, INTEGERS), reference_kernel))
        assert [n.target for n in left] == [ops.quantize, ops.dequantize]


def test_a_float_island_has_a_border_on_both_sides() -> None:
    lowered = lower(quantized("softmax"), reference_kernel)
    assert [n.target for n in borders(lowered)] == [ops.quantize, ops.dequantize] * 2
    assert any(n.target is torch.softmax for n in lowered.graph.nodes)


def test_a_layer_kept_in_float_is_called_as_it_is() -> None:
    net = tiny("three", lambda: nn.Sequential(conv(), conv(8, 6), conv(6, 3)))
    gm = quantize_net(net, QuantConfig(overrides=(Override("_1", keep_float=True),)))
    lowered = lower(gm, reference_kernel)
    assert lowered.get_submodule("1") is gm.get_submodule("1"), "float parameters are shared"
    assert len(borders(lowered)) == 4


def test_sizes_are_read_from_integers() -> None:
    """``x.size(0)`` needs no dequantized tensor."""
    for name in ("view_with_size", "reshape_with_shape", "channel_shuffle"):
        lowered = lower(quantized(name), reference_kernel)
        back = [] if find_float_results(quantized(name)) else [ops.dequantize]
        assert [n.target for n in borders(lowered)] == [ops.quantize, *back]


def test_borders_can_be_kernels_too() -> None:
    class In(Kernel):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros_like(x, dtype=torch.uint8)

    class Out(Kernel):
        def forward(self, q: Tensor) -> Tensor:
            return torch.ones(q.shape)

    lowered = lower(quantized("conv_bn_relu"), reference_kernel, lambda node: In(), lambda node: Out())
    assert not borders(lowered)
    (found,) = outputs_of(lowered, fresh_inputs(TINY["conv_bn_relu"], 1))
    assert torch.equal(found, torch.ones(2, 8, 7, 5))


def test_an_engine_has_its_own_kernels_for_float_results() -> None:
    asked: list[str] = []

    class Result(Kernel):
        def forward(self, q: Tensor) -> Tensor:
            return torch.full((len(q), 4), 7.0)

    def kernel(result: FloatResult) -> Kernel:
        asked.append(result.name)
        return Result()

    gm = quantized("linear_relu_linear")
    (found,) = outputs_of(lower(gm, reference_kernel, result_for=kernel), fresh_inputs(TINY["linear_relu_linear"], 1))
    assert asked == [r.name for r in find_float_results(gm).values()]
    assert bool((found == 7).all())


def test_the_parameters_of_integers_stay_behind() -> None:
    """Kernels hold their own parameters: there is no float weight, and no unused buffer."""
    lowered = lower(quantized("residual_block"), reference_kernel)
    assert not list(lowered.named_parameters()) and not list(lowered.named_buffers())


def test_outputs_keep_their_structure() -> None:
    net = tiny("pair", lambda: OneInput(lambda net, x: {"a": net.a(x), "b": (net.a(x), x.size(0))}, a=conv()))
    with torch.no_grad():
        found = lower(quantize_net(net, X86), reference_kernel)(*fresh_inputs(net, 1, 3))
    assert set(found) == {"a", "b"} and found["b"][1] == 3 and torch.equal(found["a"], found["b"][0])


def test_a_graph_of_another_stage() -> None:
    with pytest.raises(GraphError, match=r"to_torch got a graph in stage FLOAT\n.*works on a QUANTIZED graph"):
        lower(fused("conv_bn_relu"), reference_kernel)
