"""Feeding data to the observers, and every error in the data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from contracts import fingerprint
from tiny_graphs import calibration_data, fresh_inputs, fused, node_named, outputs_of
from tiny_nets.all_nets import TINY
from tiny_nets.net import OneInput, tiny
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.graph.edit import module_of
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.observe import find_observers
from fxpasses.quantization.ranges.calibration import calibrate
from fxpasses.quantization.ranges.observers import Observer

IMAGE = (5, 9, 7)
FLOAT_ROUNDING = 1e-6
"""Relative error of float32 sums of 45 products, whose order may depend on the memory layout of a tensor."""


def observed(name: str = "conv_bn_relu", observer: str = "minmax") -> fx.GraphModule:
    return fxpasses.observe(fused(name), QuantConfig(observer=observer))


def extremes(gm: fx.GraphModule) -> dict[str, tuple[float, float]]:
    return {name: module_of(gm, node, Observer).extremes for name, node in find_observers(gm).items()}


def test_counts_samples_and_reports_each_batch() -> None:
    batches = [torch.randn(n, *IMAGE) for n in (3, 1, 2)]
    told: list[int] = []
    assert calibrate(observed(), batches, told.append) == 6
    assert told == [3, 1, 2]


def test_sees_what_flows() -> None:
    gm = observed()
    x = torch.randn(4, *IMAGE)
    calibrate(gm, [x])
    found = extremes(gm)
    assert found["input_1"] == (float(x.min()), float(x.max()))
    (y,) = outputs_of(fused("conv_bn_relu"), (x,))
    assert list(found["relu"]) == pytest.approx([0.0, float(y.max())], rel=FLOAT_ROUNDING)


def test_adds_to_what_was_seen() -> None:
    gm, together = observed(), observed()
    first, second = torch.randn(2, *IMAGE), 3 * torch.randn(2, *IMAGE)
    calibrate(gm, [first])
    calibrate(gm, [second])
    calibrate(together, [first, second])
    assert extremes(gm) == extremes(together)


def test_changes_no_node() -> None:
    gm = observed()
    before = {name: node[:1] + node[2:] for name, node in fingerprint(gm).items()}
    calibrate(gm, [torch.randn(2, *IMAGE)])
    assert {name: node[:1] + node[2:] for name, node in fingerprint(gm).items()} == before


def test_takes_a_generator_and_keeps_none_of_it() -> None:
    alive: list[Tensor] = []

    def batches() -> Iterator[Tensor]:
        for _ in range(3):
            alive.append(torch.randn(2, *IMAGE))
            yield alive[-1]

    gm = observed()
    calibrate(gm, batches())
    held = {t.data_ptr() for t in (*gm.buffers(), *gm.parameters())}
    assert not held & {t.data_ptr() for t in alive}


def test_several_inputs_and_tokens() -> None:
    for name in ("two_inputs", "embedding_linear"):
        gm = observed(name)
        assert calibrate(gm, calibration_data(TINY[name])) == 8
        assert calibrate(gm, [list(fresh_inputs(TINY[name], 1))]) == 2


def test_data_may_require_gradients() -> None:
    assert calibrate(observed(), [torch.randn(2, *IMAGE, requires_grad=True)]) == 2


@pytest.mark.parametrize("batches", [[], [torch.zeros(0, *IMAGE)]])
def test_no_data(batches: list[Tensor]) -> None:
    with pytest.raises(InputError, match=r"calibration data\n.*it is empty"):
        calibrate(observed(), batches)


def test_labels_in_the_batch_are_left_out() -> None:
    assert calibrate(observed(), [torch.randn(2, *IMAGE), (torch.randn(2, *IMAGE), torch.zeros(2))]) == 4


def test_more_than_inputs_and_labels() -> None:
    with pytest.raises(
        InputError, match=r"calibration batch 1\n.*it has 3 inputs, the model takes 1\n.*inputs, labels"
    ):
        calibrate(observed(), [torch.randn(2, *IMAGE), (torch.randn(2, *IMAGE), torch.zeros(2), torch.zeros(2))])


def test_something_that_is_no_tensor() -> None:
    with pytest.raises(InputError, match="it holds a ndarray where the model takes a tensor"):
        calibrate(observed(), [torch.randn(2, *IMAGE).numpy()])


@pytest.mark.parametrize("batch", [torch.randn(2, 3, 9, 7), torch.randn(*IMAGE), torch.randn(2, *IMAGE).double()])
def test_another_shape_or_dtype(batch: Tensor) -> None:
    with pytest.raises(InputError, match=r"captured for \('batch', 5, 9, 7\) torch.float32"):
        calibrate(observed(), [batch])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_in_the_data(bad: float) -> None:
    x = torch.randn(2, *IMAGE)
    x[1, 2, 3, 4] = bad
    with pytest.raises(InputError, match=r"calibration batch 0\n.*it holds NaN or infinity"):
        calibrate(observed(), [x])


@pytest.mark.parametrize("observer", ["minmax", "histogram", "moving_average", "percentile", "entropy"])
def test_an_activation_that_becomes_nan_names_the_node(observer: str) -> None:
    layers = {"first": nn.Linear(7, 5), "last": nn.Linear(5, 2)}
    net = tiny("overflows", lambda: OneInput(lambda net, x: net.last(torch.log(net.first(x))), **layers), (2, 7))
    model = net.build()
    model.get_parameter("first.weight").data.fill_(1.0)
    gm = fxpasses.observe(fxpasses.fuse(fxpasses.capture(model, torch.ones(2, 7))), QuantConfig(observer=observer))
    calibrate(gm, [torch.ones(2, 7)])
    with pytest.raises(
        GraphError, match=r"(?s)node 'log.*at:  File.*test_calibration.py.*NaN.*fix: run the float model"
    ):
        calibrate(gm, [-torch.ones(2, 7)])
    assert node_named(gm, "log") is not None


def test_a_graph_of_another_stage() -> None:
    with pytest.raises(GraphError, match=r"calibrate got a graph in stage FLOAT\n.*works on an? OBSERVED graph"):
        calibrate(fused("conv_bn_relu"), [torch.randn(2, *IMAGE)])
