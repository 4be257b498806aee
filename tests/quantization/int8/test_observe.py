"""FLOAT -> OBSERVED: places of observers, and that they change nothing."""

from __future__ import annotations

import pytest
import torch
from contracts import fingerprint
from tiny_graphs import calibration_data, fresh_inputs, fused, log_of, node_named, outputs_of, own_copy
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net
from torch import nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.export.metadata import qparams_hash
from fxpasses.graph.edit import module_of, operator_of
from fxpasses.graph.meta_keys import SHAPE
from fxpasses.graph.pass_runner import pass_logs, run_passes
from fxpasses.graph.shapes import shape_of
from fxpasses.graph.stages import Stage, config_of, stage_of
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.quantization.int8.observe import OBSERVERS, find_observers, needs_observer, observe
from fxpasses.quantization.int8.plan import plan_quantization
from fxpasses.quantization.int8.rewrites import LOWERING
from fxpasses.quantization.ranges.observers import HistogramObserver, MinMaxObserver, Observer, PercentileObserver

LOWERED = frozenset(
    "conv_relu_bn bn_relu_conv bn_conv_padded bn_read_twice shared_conv_and_bn shared_conv_two_bns shared_conv_one_bn "
    "conv_with_two_readers residual_padded_shortcut silu written_activations".split()
)
"""Nets in which observing also rewrites a BatchNorm, a pad or a SiLU, which then rounds differently."""


@pytest.mark.parametrize("name", each_net(TINY))
def test_observers_change_no_number(name: str) -> None:
    inputs = fresh_inputs(TINY[name], 5)
    expected, found = outputs_of(fused(name), inputs), outputs_of(observe(fused(name)), inputs)
    for a, b in zip(expected, found, strict=True):
        if name in LOWERED:
            assert float((a - b).abs().max()) <= 1e-5 * float(a.abs().max())  # one more float32 product and sum
        else:
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_root_that_needs_an_observer_has_one(name: str) -> None:
    gm = observe(fused(name))
    watched = {node.args[0] for node in find_observers(gm).values()}
    assert watched == {root for root in _plan_before(name, gm) if needs_observer(gm, root)}
    for node in find_observers(gm).values():
        assert isinstance(module_of(gm, node, Observer), HistogramObserver)
        assert shape_of(node) == shape_of(node.all_input_nodes[0]) is not None


def test_every_tensor_on_a_grid_can_be_observed() -> None:
    """Max pooling shares its input's scale, but an int8 operator after it needs a range if its input stays float."""
    gm = observe(fused("max_pools"), every_tensor=True)
    plan = plan_quantization(run_passes(fused("max_pools"), LOWERING), QuantConfig())
    watched = {str(node.all_input_nodes[0].name) for node in find_observers(gm).values()}
    assert watched == {tensor.name for tensor in plan.root}
    assert len(plan.root) > len(plan.roots)


def _plan_before(name: str, gm: torch.fx.GraphModule) -> set[torch.fx.Node]:
    """Roots of the plan, by name in the observed graph."""
    lowered = run_passes(fused(name), LOWERING)
    return {node_named(gm, root.name) for root in plan_quantization(lowered, QuantConfig()).roots}


@pytest.mark.parametrize("name", each_net(TINY))
def test_the_log_says_of_every_operator_int8_or_why_not(name: str) -> None:
    gm = observe(fused(name))
    result = log_of(gm, "observe").result
    told = {change.node for change in result.changed} | {skip.node for skip in result.skipped}
    known = {n.name for n in gm.graph.nodes if operator_of(gm, n) is not None and SHAPE in n.meta}
    assert known <= told
    assert all(skip.stays_float for skip in result.skipped)
    assert len(told) == len(result.changed) + len(result.skipped), "once each"


def test_leaves_the_float_graph_alone() -> None:
    source = own_copy(fused("conv_relu_bn"))
    before = fingerprint(source)
    gm = observe(source)
    assert fingerprint(source) == before and stage_of(source) is Stage.FLOAT and stage_of(gm) is Stage.OBSERVED
    assert not {p.data_ptr() for p in source.parameters()} & {p.data_ptr() for p in gm.parameters()}


def test_lowers_first_and_logs_it() -> None:
    gm = observe(fused("conv_relu_bn"))
    assert [log.name for log in pass_logs(gm)][-4:] == [
        *("batch_norm_to_conv", "channel_pad_to_conv", "split_silu", "observe")
    ]


def test_keeps_the_recipe() -> None:
    config = QuantConfig(target="cuda", observer="minmax")
    assert config_of(observe(fused("conv_bn_relu"), config)) == config
    assert config_of(observe(fused("conv_bn_relu"))) == QuantConfig()


def test_known_ranges_are_not_measured() -> None:
    sigmoid = observe(fused("sigmoid_spellings"))
    assert not any(name.startswith("sigmoid") for name in find_observers(sigmoid))
    assert "embedding" not in find_observers(observe(fused("embedding_linear")))


def test_the_observer_of_an_absorbed_activation_is_its_layers() -> None:
    config = QuantConfig(overrides=(Override("0", observer="percentile:99.5"),))
    gm = observe(fused("conv_bn_relu"), config)
    observers = {name: module_of(gm, node, Observer) for name, node in find_observers(gm).items()}
    assert isinstance(observers["relu"], PercentileObserver) and observers["relu"].percentile == 99.5
    assert isinstance(observers["input_1"], HistogramObserver)


def test_another_observer_everywhere() -> None:
    gm = observe(fused("residual_block"), QuantConfig(observer="minmax"))
    kinds = {type(module_of(gm, node, Observer)) for node in find_observers(gm).values()}
    assert kinds == {MinMaxObserver}


def test_a_model_with_a_module_called_observers() -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.observers = nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.observers(x)
            return out

    graph = fxpasses.capture(Watched().eval(), torch.zeros(2, 7))
    gm = observe(fxpasses.fuse(graph))
    assert sorted(find_observers(gm)) == ["observers_0", "x"], "what the last layer gives stays float"
    assert not hasattr(graph, OBSERVERS)


def test_a_graph_of_another_stage() -> None:
    with pytest.raises(GraphError, match=r"observe got a graph in stage OBSERVED\n.*works on a FLOAT graph"):
        observe(observe(fused("conv_bn_relu")))


def test_a_model_that_was_not_captured() -> None:
    with pytest.raises(GraphError, match="observe got a Linear that was not captured"):
        observe(nn.Linear(2, 2))  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize(("node", "name"), [("relu_1", "to"), ("_1_conv1", "half")])
def test_tensors_and_layers_called_like_a_method_of_modules(node: str, name: str) -> None:
    graph, data = own_copy(fused("residual_block")), calibration_data(TINY["residual_block"])
    node_named(graph, node)._rename(name)  # as torch.fx calls x.to(...)
    graph.recompile()
    observed = observe(graph, QuantConfig(observer="minmax"))
    fxpasses.calibrate(observed, data)
    assert name in find_observers(observed) or node != "relu_1"
    int8 = fxpasses.convert(observed)
    plain = fxpasses.observe(fused("residual_block"), QuantConfig(observer="minmax"))
    fxpasses.calibrate(plain, data)
    assert qparams_hash(int8) == qparams_hash(fxpasses.convert(plain))
