"""OBSERVED -> QUANTIZED."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from contracts import fingerprint
from tiny_graphs import (
    INTEGERS,
    calibration_data,
    calibration_results,
    capture_net,
    changed_nodes,
    float_results,
    fresh_inputs,
    fused,
    log_of,
    node_named,
    outputs_of,
    quantize_net,
    quantized,
    skip_reasons,
)
from tiny_nets.all_nets import TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TwoInputs, tiny
from tiny_nets.share import each_net
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.graph.meta_keys import DTYPE, SHAPE
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.graph.shapes import record_shapes, shape_of
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.convert import clamp_is_redundant, convert
from fxpasses.quantization.int8.int8_calls import find_int8_calls, qparams_of
from fxpasses.quantization.int8.observe import OBSERVERS
from fxpasses.quantization.int8.plan import plan_quantization
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import INT8_SYMMETRIC, UINT8, QParams
from fxpasses.quantization.ranges.observers import HistogramObserver


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_tensor_node_knows_its_shape_and_type(name: str) -> None:
    gm = quantized(name)
    truth = copy_graph(gm)
    record_shapes(truth, TINY[name].example_inputs())
    for said, true in zip(gm.graph.nodes, truth.graph.nodes, strict=True):
        assert (said.meta.get(SHAPE), said.meta.get(DTYPE)) == (true.meta.get(SHAPE), true.meta.get(DTYPE)), said.name
        if said.op.startswith("call_") and not _is_input(said):
            assert said.meta.get("stack_trace"), f"the source line of {said.name} is lost"


def _is_input(node: fx.Node) -> bool:
    """Whether a node is an input or constant, quantized or not; it then has no source line."""
    moved = node.target in (ops.quantize, ops.dequantize)
    return node.op in ("placeholder", "get_attr") or (moved and _is_input(node.all_input_nodes[0]))


@pytest.mark.parametrize("name", each_net(TINY))
def test_stage_lint_and_what_is_planned_is_done(name: str) -> None:
    gm = quantized(name)
    gm.graph.lint()
    assert stage_of(gm) is Stage.QUANTIZED and not any(m.training for m in gm.modules())
    graph = fxpasses.observe(fused(name))
    planned = set(plan_quantization(fused(name), QuantConfig()).int8)
    assert {n.name for n in planned} - set(changed_nodes(gm, "convert")) <= _lowered(graph, name)


def _lowered(graph: fx.GraphModule, name: str) -> set[str]:
    """Nodes that observing rewrites before it plans."""
    return {n.name for n in fused(name).graph.nodes} - {n.name for n in graph.graph.nodes}


@pytest.mark.parametrize("name", each_net(TINY))
def test_no_observer_is_left(name: str) -> None:
    assert not any("observer" in path for path, _ in quantized(name).named_modules())


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_int8_tensor_is_on_its_grid(name: str) -> None:
    """There is one quantize -> dequantize pair after each tensor, with the same parameters, and no
    node reads past it.
    """
    gm = quantized(name)
    for node in gm.graph.nodes:
        if node.target is ops.quantize:
            source, (back,) = node.all_input_nodes[0], node.users
            assert back.target is ops.dequantize and qparams_of(back) == qparams_of(node)
            assert list(source.users) == [node], f"{source.name} is read past its grid"


@pytest.mark.parametrize(
    "name", ["conv_bn_relu", "linear_relu_linear", "conv_transpose2d_grouped_bn", "conv3d_bn_relu"]
)
def test_float_weights_are_gone_and_integers_are_buffers(name: str) -> None:
    gm = quantized(name)
    assert not list(gm.parameters())
    dtypes = {path.rpartition(".")[2]: value.dtype for path, value in gm.named_buffers()}
    assert dtypes["weight"] is torch.int8 and dtypes["weight_scale"] is torch.float32
    assert dtypes.get("bias", torch.int32) is torch.int32


def test_activations_are_absorbed_into_saturation() -> None:
    gm = quantized("residual_block", INTEGERS)
    assert not any(n.target is torch.relu for n in gm.graph.nodes)
    assert sum(c.what.startswith("absorbed") for c in log_of(gm, "convert").result.changed) == 4
    assert node_named(gm, "relu_int8") is not None, "the integers keep the name of the activation"


def test_symmetric_grids_keep_the_activation() -> None:
    gm = quantized("conv_bn_relu", QuantConfig(target="cuda", observer="minmax"))
    assert any(n.target is torch.relu for n in gm.graph.nodes)
    assert skip_reasons(gm, "convert") == {"relu": "kept beside _0: its output grid reaches further than the clamp"}


def test_a_constant_activation() -> None:
    """A range of zeros alone: the grid reaches to 255, further than the clamp, and conversion still works."""
    net = tiny("constant", lambda: OneInput(lambda net, x: net.b(F.relu6(net.a(x))), a=conv(), b=conv(8, 3)))
    model = net.build()
    model.get_parameter("a.bias").data.fill_(-100.0)
    gm = fxpasses.quantize(model, net.example_inputs(), calibration_data(net))
    calls = {c.name: c for c in find_int8_calls(gm).values()}
    assert calls["clamp_int8"].y == QParams(1.0, 0, UINT8) and calls["clamp_int8"].clamp == (0.0, 6.0)
    inputs = fresh_inputs(net, 1)
    assert torch.allclose(outputs_of(gm, inputs)[0], outputs_of(model, inputs)[0], atol=1e-2)


@pytest.mark.parametrize(
    ("bounds", "q", "redundant"),
    [
        ((0.0, math.inf), QParams(0.02, 0, UINT8), True),
        ((0.0, math.inf), QParams(0.02, 1, UINT8), False),
        ((0.0, math.inf), QParams(0.02, 0, INT8_SYMMETRIC), False),
        ((0.0, 6.0), QParams(6 / 255, 0, UINT8), True),
        ((0.0, 6.0), QParams(5 / 255, 0, UINT8), True),
        ((0.0, 6.0), QParams(6.01 / 255, 0, UINT8), True),
        ((0.0, 6.0), QParams(6.02 / 255, 0, UINT8), False),
        ((-1.0, 1.0), QParams(2 / 255, 128, UINT8), False),
        ((-2.0, 2.0), QParams(2 / 255, 128, UINT8), True),
    ],
)
def test_when_a_clamp_is_redundant(bounds: tuple[float, float], q: QParams, redundant: bool) -> None:
    assert clamp_is_redundant(bounds, q) is redundant
    x = torch.linspace(-8, 8, 4001)
    clamped = x.clamp(bounds[0], bounds[1])
    same = torch.equal(*(ops.quantize(v, q.scale, q.zero_point, q.grid.dtype) for v in (x, clamped)))
    assert same or not redundant


def test_a_layer_called_twice_gets_integers_for_each_call() -> None:
    gm = quantized("shared_conv_and_bn")
    holders = sorted({path.rpartition(".")[0] for path, _ in gm.named_buffers()})
    assert holders == ["bn_as_conv_1_int8", "bn_as_conv_int8", "conv_int8", "conv_int8_call2"]


def test_integers_never_overwrite_a_module_of_that_name() -> None:
    net = tiny("taken", lambda: OneInput(
        lambda net, x: net.conv_int8(net.conv(x)), conv=conv(), conv_int8=conv(8, 3)))  # fmt: skip
    gm = quantize_net(net)
    assert {path.rpartition(".")[0] for path, _ in gm.named_buffers()} == {"conv_int8_1", "conv_int8_int8"}
    inputs = fresh_inputs(net, 3)
    assert outputs_of(gm, inputs)[0].shape == outputs_of(net.build(), inputs)[0].shape


def test_constants_are_integers() -> None:
    gm = quantized("constant_added", INTEGERS)
    held = {path: value.dtype for path, value in gm.named_buffers()}
    assert held["position_int8.value"] is torch.uint8 and "position" not in held


def test_an_embedding_is_a_table_of_integers() -> None:
    gm = quantized("embedding_linear")
    held = {path: value.dtype for path, value in gm.named_buffers()}
    assert held["embedding_int8.weight"] is torch.uint8 and not list(gm.parameters())


def test_padding_in_words_becomes_numbers() -> None:
    net = tiny("valid", lambda: nn.Sequential(conv(padding="valid"), nn.ReLU(), conv(8, 3, kernel=5, padding="same")))
    calls = find_int8_calls(quantize_net(net)).values()
    assert [tuple(c.settings["padding"]) for c in calls if c.layer] == [(0, 0), (2, 2)]


def test_leaves_the_observed_graph_alone_and_it_can_be_calibrated_further() -> None:
    graph = fxpasses.observe(fused("conv_bn_relu"), QuantConfig(observer="minmax"))
    net = TINY["conv_bn_relu"]
    fxpasses.calibrate(graph, calibration_data(net))
    before = fingerprint(graph)
    first = convert(graph)
    assert fingerprint(graph) == before and stage_of(graph) is Stage.OBSERVED
    assert fingerprint(convert(graph)) == fingerprint(first), "the same again"
    fxpasses.calibrate(graph, [10 * x for (x,) in calibration_data(net)])
    later = convert(graph)
    scales = [qparams_of(node_named(gm, "input_1_int8")).scale for gm in (first, later)]
    assert scales[1] > 5 * scales[0]


@pytest.mark.filterwarnings("ignore:nothing in this model runs in int8")
def test_overrides_by_name_pattern_and_operator() -> None:
    for match, kept in (("_1", 1), ("?", 3), ("conv*", 3), ("1", 1), ("nothing", 0)):
        net = tiny("three", lambda: nn.Sequential(conv(), conv(8, 6), conv(6, 3)))
        kept_float = (Override(match, keep_float=True),)
        gm = quantize_net(net, QuantConfig(observer="minmax", equalization=False, overrides=kept_float))
        assert sum(isinstance(m, nn.Conv2d) for m in gm.modules()) == kept
        assert len([c for c in find_int8_calls(gm).values() if c.layer]) == 3 - kept


def test_the_observer_of_an_override_gives_the_range() -> None:
    wide = quantized("conv_bn_relu", QuantConfig(observer="minmax", tie_free=False))
    config = QuantConfig(observer="minmax", tie_free=False, overrides=(Override("input_1", observer="percentile:80"),))
    narrow = quantized("conv_bn_relu", config)
    for name, narrower in (("input_1_int8", True), ("relu_int8", False)):
        a, b = (qparams_of(node_named(gm, name)).scale for gm in (wide, narrow))
        assert (b < a * 0.8) is narrower and (b == a) is not narrower


TARGETS = {
    "x86": (torch.uint8, 127),
    "x86-avx2": (torch.uint8, 127),
    "arm": (torch.uint8, 127),
    "cuda": (torch.int8, 127),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", each_net(TINY))
def test_every_net_quantizes_for_every_target(name: str, target: str) -> None:
    """Grids are right, and outputs are near those of the float net on its calibration data."""
    gm = quantized(name, QuantConfig(target=target, observer="minmax"))
    dtype, largest = TARGETS[target]
    for call in find_int8_calls(gm).values():
        assert call.y.grid.dtype is dtype and all(x.grid.dtype is dtype for x in call.x)
        if target == "cuda":
            assert call.y.zero_point == 0
        if call.layer is not None:
            assert int(call.layer.weight.abs().max()) <= largest
            assert call.is_pair_safe or target != "x86-avx2"
    assert sqnr_db(float_results(name), calibration_results(gm, name)) >= least_sqnr_db(gm, target)


def sqnr_db(expected: Tensor, found: Tensor) -> float:
    noise = float((expected - found).double().pow(2).mean())
    return math.inf if noise == 0 else 10 * math.log10(float(expected.double().pow(2).mean()) / noise)


def least_sqnr_db(gm: fx.GraphModule, target: str) -> float:
    """Least SQNR that rounding alone explains.

    One rounding of a full-range signal with a peak of c root mean squares leaves 6.02 * 8 + 4.77 - 20 log10(c) dB with
    256 levels; peaks of seven: 36 dB. A layer rounds its weights, too. Symmetric grids have half the levels for
    positive values, weights in safe pairs at worst half of those for weights: -6 dB. n roundings in a row add up: -10
    log10(n).
    """
    roundings = sum(1 + (c.layer is not None) for c in find_int8_calls(gm).values()) + 1
    return 36.0 - 6.0 * (target in ("cuda", "x86-avx2")) - 10 * math.log10(roundings)


def test_no_data() -> None:
    told = (
        r"(?s)node 'input_1' .*why: no data has passed its observer.*fix: fx.calibrate\(graph, batches\).*in:  convert"
    )
    with pytest.raises(GraphError, match=told):
        convert(fxpasses.observe(fused("conv_bn_relu")))


def test_data_that_never_reached_a_branch() -> None:
    """Every observer is checked, not only the first."""
    net = tiny("two", lambda: TwoInputs(lambda net, x, y: net.a(x) + net.a(y), a=nn.Linear(7, 3)), (2, 7), (2, 7))
    graph = fxpasses.observe(fxpasses.fuse(capture_net(net)))
    fxpasses.calibrate(graph, calibration_data(net))
    graph.set_submodule(f"{OBSERVERS}.y", HistogramObserver())
    with pytest.raises(GraphError, match=r"(?s)node 'y' .*no data has passed.*node:a_1\", keep_float=True"):
        convert(graph)


def test_weights_that_are_not_finite_name_the_layer() -> None:
    graph = fxpasses.observe(fused("linear_relu_linear"))
    fxpasses.calibrate(graph, calibration_data(TINY["linear_relu_linear"]))
    graph.get_parameter("2.weight").data[0, 0] = float("nan")
    with pytest.raises(GraphError, match=r"(?s)node '_2' .*why: a weight.* holds NaN or infinity.*in:  convert"):
        convert(graph)


def test_a_graph_of_another_stage() -> None:
    with pytest.raises(GraphError, match=r"convert got a graph in stage FLOAT\n.*works on an? OBSERVED graph"):
        convert(fused("conv_bn_relu"))
    with pytest.raises(GraphError, match="convert got a graph in stage QUANTIZED"):
        convert(quantized("conv_bn_relu"))


def test_shapes_of_integers_are_those_of_their_tensor() -> None:
    gm = quantized("conv_bn_relu")
    assert shape_of(node_named(gm, "relu_int8")) == shape_of(node_named(gm, "relu_float")) == (2, 8, 7, 5)
    assert node_named(gm, "relu_int8").meta[DTYPE] is torch.uint8
