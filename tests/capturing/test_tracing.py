"""Capture gives a graph that computes exactly what the model computes, in one vocabulary, or says why it cannot."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from contracts import FIXED_BATCH
from tiny_graphs import fresh_inputs, operators_of, outputs_of
from tiny_nets.all_nets import REFUSED, TINY
from tiny_nets.convolutions import conv
from tiny_nets.net import IMAGE, OneInput, TinyNet
from tiny_nets.share import each_net
from torch import fx, nn

import fxpasses
from fxpasses.capturing import torch_export as exporting
from fxpasses.capturing.attempts import Method, capture
from fxpasses.errors import GraphError, source_line
from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.graph.operators import Scaling
from fxpasses.graph.shapes import shape_of
from fxpasses.graph.stages import CaptureMethod, Stage, graph_facts, stage_of

IMAGES = torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))

EXPORTED = (
    "conv_bn_relu", "functional_bn", "in_place_relu_on_view", "residual_padded_shortcut", "chunk", "attention", "pad",
    "interpolate_nearest", "dict_output", "two_inputs", "embedding_linear", "relu6_spellings",
)  # fmt: skip
"""Nets captured through torch.export in every run; the slow tests take them all."""
SIDE = 64
"""Height and width of images for transformers."""


def not_canonical(gm: fx.GraphModule) -> list[str]:
    """Operators of the vocabulary in a graph that are not in canonical form."""
    left = []
    for node in gm.graph.nodes:
        found = VOCABULARY.spelling(gm, node)
        if found and found[0].function is not None and shape_of(node) and VOCABULARY.operator(gm, node) is None:
            left.append(f"{node.name}: {node.target}")
    return left


def assert_same(gm: fx.GraphModule, model: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Compare bit for bit, and a second time, because the first call must not change anything.

    Attention that torch.export has expanded adds in another order than the module, which is one fused kernel.
    """
    opened = any(isinstance(m, nn.MultiheadAttention) for m in model.modules())
    tolerance = 1e-6 if opened else 0.0
    for _ in range(2):
        found, expected = outputs_of(gm, inputs), outputs_of(model, inputs)
        assert len(found) == len(expected)
        assert all(torch.allclose(a, b, rtol=0, atol=tolerance) for a, b in zip(found, expected, strict=True))


def check_capture(net: TinyNet, method: Method) -> None:
    model = net.build()
    before = copy.deepcopy(model.state_dict())
    attributes = set(vars(model))
    gm = capture(model, net.example_inputs(), method=method)
    assert_same(gm, model, fresh_inputs(net, 1))
    if net.name not in FIXED_BATCH:
        assert_same(gm, model, fresh_inputs(net, 2, batch=3))
    allowed = {"scalars"}  # `1 - x` has no canonical spelling
    assert net.name in allowed or not_canonical(gm) == []
    assert not any(str(n.target).endswith("_") for n in gm.graph.nodes if n.op == "call_method")
    assert set(vars(model)) == attributes
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(source_line(n) for n in gm.graph.nodes if n.op in ("call_function", "call_module", "call_method"))
    shared = {id(p) for p in model.parameters()}
    assert all(id(p) in shared for p in gm.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_tiny_net_is_captured_exactly(name: str) -> None:
    check_capture(TINY[name], "auto")


@pytest.mark.parametrize("name", EXPORTED)
def test_captured_exactly_through_export(name: str) -> None:
    check_capture(TINY[name], "export")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in TINY if n not in FIXED_BATCH and n not in EXPORTED])
def test_every_other_tiny_net_is_captured_exactly_through_export(name: str) -> None:
    check_capture(TINY[name], "export")


def quantizable(gm: fx.GraphModule) -> Counter[str]:
    found = [VOCABULARY.operator(gm, n) for n in gm.graph.nodes if shape_of(n)]
    return Counter(op.name for op in found if op is not None and op.scaling is not Scaling.FLOAT)


@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x1_0",
                      "convnext_tiny")
        ),
    ],
)  # fmt: skip
def test_both_ways_find_the_same_operators_under_the_same_names(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.get_model(name, weights=None).eval()
    inputs = (torch.randn(1, 3, 64, 48),)
    traced, exported = (capture(model, inputs, method=m) for m in ("trace", "export"))
    assert quantizable(traced) == quantizable(exported)
    layers = [n.target for n in traced.graph.nodes if n.op == "call_module" and VOCABULARY.operator(traced, n)]
    assert layers == [n.target for n in exported.graph.nodes if n.op == "call_module"]
    assert_same(exported, model, (torch.randn(3, 3, 64, 48),))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), [("vit_b_16", {"image_size": SIDE}), ("swin_t", {})])
def test_export_opens_what_tracing_keeps_whole(name: str, settings: dict[str, int]) -> None:
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.get_model(name, weights=None, **settings).eval()
    inputs = (torch.randn(1, 3, SIDE, SIDE),)
    traced, exported = (capture(model, inputs, method=m) for m in ("trace", "export"))
    assert operators_of(exported).count("linear") - operators_of(traced).count("linear") == 24


def test_functions_that_hide_layers_are_opened() -> None:
    net = TINY["wrapped_layers"]
    gm = capture(net.build(), net.example_inputs())
    assert graph_facts(gm).capture_method is CaptureMethod.EXPORT
    assert operators_of(gm).count("linear") == 3
    traced = capture(net.build(), net.example_inputs(), method="trace")
    assert operators_of(traced).count("linear") == 1


def test_where_they_cannot_be_opened_they_stay_whole_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    net = TINY["wrapped_layers"]
    monkeypatch.setattr(exporting, "export_graph", _refuse)
    with pytest.warns(UserWarning, match="whole and in float, because: it is wrapped for torch.fx and hides the layer"):
        gm = capture(net.build(), net.example_inputs())
    assert operators_of(gm).count("linear") == 1


def _refuse(*_: object, **__: object) -> fx.GraphModule:
    raise GraphError("no export", why="the test says so", fix="none", step="capture")


def test_the_graph_is_ready_for_passes() -> None:
    model = TINY["conv_bn_relu"].build()
    gm = fxpasses.capture(model, IMAGES)
    assert stage_of(gm) is Stage.FLOAT
    assert graph_facts(gm).example_inputs == ((IMAGE, torch.float32),)
    assert graph_facts(gm).capture_method is CaptureMethod.TRACE
    assert not any(module.training for module in gm.modules())
    assert operators_of(gm) == ["conv2d", "batch_norm", "relu"]
    again = capture(gm, IMAGES)
    assert operators_of(again) == operators_of(gm)


def test_training_mode_is_refused_and_the_module_named() -> None:
    with pytest.raises(GraphError, match=r"in training mode \(Sequential and others\)[\s\S]*capture\(model\.eval\(\)"):
        capture(REFUSED["batch_norm_in_training"].build(), IMAGES)
    model = nn.Sequential(conv(), nn.Dropout()).eval()
    model[1].train()
    with pytest.raises(GraphError, match=r"training mode \(1\)"):
        capture(model, IMAGES)
    gm = capture(model.eval(), IMAGES)
    with pytest.raises(GraphError, match="training mode"):
        capture(gm.train(), IMAGES)


def test_data_dependent_control_flow_names_the_line_and_the_remedy() -> None:
    net = REFUSED["data_dependent_if"]
    with pytest.raises(GraphError) as caught:
        capture(net.build(), net.example_inputs())
    message = str(caught.value)
    assert 'refused.py", line' in message
    assert "in forward" in message
    assert "symbolic_trace: " in message
    assert "torch.export: " in message
    assert "make that line independent of tensor values" in message and "leaves=" not in message
    assert len(message.splitlines()) == 5


@pytest.mark.parametrize("name", ["only_by_export", "in_place_relu_on_view"])
def test_auto_falls_through_to_export(name: str) -> None:
    net = REFUSED.get(name) or TINY[name]
    with pytest.raises(GraphError):
        capture(net.build(), net.example_inputs(), method="trace")
    gm = capture(net.build(), net.example_inputs())
    assert graph_facts(gm).capture_method is CaptureMethod.EXPORT
    assert_same(gm, net.build(), fresh_inputs(net, 3, batch=3))


def test_an_augmented_assignment_changes_the_tensor_that_was_kept() -> None:
    net = REFUSED["only_by_export_augmented_assignment"]
    assert_same(capture(net.build(), net.example_inputs(), method="trace"), net.build(), fresh_inputs(net, 1))


def test_a_module_without_layers_that_cannot_be_traced_becomes_a_leaf() -> None:
    net = REFUSED["only_with_leaf"]
    gm = capture(net.build(), net.example_inputs(), method="trace")
    assert operators_of(gm) == ["conv2d", "batch_norm", "2", "conv2d"]
    named = capture(net.build(), net.example_inputs(), leaves=["2"])
    assert operators_of(named) == operators_of(gm)


def test_leaves_must_exist_and_are_for_tracing() -> None:
    model = TINY["conv_bn_relu"].build()
    with pytest.raises(GraphError, match="has no module 'absent'"):
        capture(model, IMAGES, leaves=["absent"])
    with pytest.raises(GraphError, match="only tracing can keep one whole"):
        capture(model, IMAGES, leaves=["0"], method="export")


def test_a_leaf_stays_whole_though_it_could_be_traced() -> None:
    model = nn.Sequential(nn.Sequential(conv(), nn.ReLU()), conv(8, 3)).eval()
    assert operators_of(capture(model, IMAGES, leaves=["0"])) == ["0", "conv2d"]


@pytest.mark.parametrize(
    ("model", "inputs", "why"),
    [
        (conv(), (IMAGES, IMAGES), "takes 2 positional arguments but 3 were given"),
        (OneInput(lambda net, x: x), (), "missing 1 required positional argument: 'x'"),
        (conv(), (IMAGES[:, :3],), "expected input.* to have 5 channels, but got 3"),
        (OneInput(lambda net, x: {"present": x}["absent"]), (IMAGES,), "KeyError: 'absent'"),
        (conv(), ("text",), "TypeError: conv2d"),
    ],
)
def test_a_model_that_does_not_run_is_the_callers_to_mend(model: nn.Module, inputs: tuple[Any, ...], why: str) -> None:
    with pytest.raises(GraphError, match=rf"does not run on the example inputs \[.*\][\s\S]*{why}"):
        capture(model.eval(), inputs)


def test_an_error_inside_forward_names_the_users_line() -> None:
    with pytest.raises(GraphError, match=r'at:  File ".*test_tracing\.py", line \d+, in <lambda>'):
        capture(OneInput(lambda net, x: [x][x.dim()]).eval(), IMAGES)


@pytest.mark.parametrize(
    ("body", "method"),
    [
        (lambda net, x: x + torch.randn_like(x), "trace"),
        (lambda net, x: x + torch.randn_like(x), "export"),
        (lambda net, x: F.dropout(x), "trace"),
        (lambda net, x: F.dropout(x), "export"),
        (lambda net, x: (net.count.add_(1), x + net.count)[1], "trace"),
    ],
)
def test_a_model_that_is_no_function_of_its_inputs_is_refused(body: Any, method: Method) -> None:
    model = OneInput(body, count=torch.zeros(1)).eval()
    with pytest.raises(GraphError, match=r"something else when it is called again[\s\S]*random, or keeps state"):
        capture(model, IMAGES, method=method)


@pytest.mark.parametrize("method", ["trace", "export"])
def test_a_model_that_keeps_what_it_saw_is_refused(method: Method) -> None:
    message = r"at:  File .*(test_tracing|tiny_net)[\s\S]*it changes 'total', a tensor of the model"
    model = OneInput(lambda net, x: (net.total.add_(x.mean()), x + net.total)[1], total=torch.zeros(1)).eval()
    with pytest.raises(GraphError, match=rf"{message}[\s\S]*take the state as an input"):
        capture(model, IMAGES, method=method)


def test_inference_mode_outside_does_no_harm() -> None:
    net = TINY["relu_in_place_spellings"]
    model = net.build()
    with torch.inference_mode():
        gm = capture(model, tuple(x.clone() for x in net.example_inputs()))
    assert_same(gm, model, fresh_inputs(net, 1))


def test_the_random_state_is_left_alone() -> None:
    net = TINY["functional_conv"]
    torch.manual_seed(7)
    capture(net.build(), net.example_inputs())
    after = torch.rand(())
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(()))
