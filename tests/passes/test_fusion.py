"""fuse: all float passes, in an order that lets each find the patterns that the earlier ones uncover."""

from __future__ import annotations

import pytest
import torch
from contracts import FIXED_BATCH, ROUNDINGS, fingerprint
from tiny_graphs import captured, fresh_inputs, fused, operators_of, outputs_of
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net
from torch import nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.graph.pass_runner import pass_logs, pass_name
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.passes.fusion import FUSION


@pytest.mark.parametrize("name", each_net(TINY))
def test_computes_the_same(name: str) -> None:
    gm = fused(name)
    assert stage_of(gm) is Stage.FLOAT
    for seed, batch in ((11, None), (12, 1)):
        if batch is not None and (name in FIXED_BATCH or name.startswith("squeeze")):
            continue
        inputs = fresh_inputs(TINY[name], seed, batch)
        for expected, found in zip(outputs_of(TINY[name].build(), inputs), outputs_of(gm, inputs), strict=True):
            limit = len(FUSION) * ROUNDINGS * torch.finfo(torch.float32).eps * float(expected.abs().max())
            assert found.shape == expected.shape
            assert float((found - expected).abs().max()) <= limit


@pytest.mark.parametrize(
    ("name", "operators"),
    [
        ("conv_bn_relu", ["conv2d", "relu"]),
        ("conv_depthwise_bn_relu6", ["conv2d", "clip", "conv2d"]),
        ("linear_bn1d_relu", ["linear", "relu", "linear"]),
        ("bn_conv", ["conv2d"]),
        ("bn_linear", ["linear"]),
        ("dropout_identity", ["conv2d", "linear"]),
        ("mean", ["conv2d", "adaptive_avg_pool2d", "flatten", "linear"]),
        ("relu_twice", ["conv2d", "clip"]),
        ("residual_block", ["conv2d", "relu", "conv2d", "add", "relu"] * 2),
        ("conv_relu_bn", ["conv2d", "relu", "batch_norm"]),
    ],
)
def test_what_is_left(name: str, operators: list[str]) -> None:
    assert operators_of(fused(name)) == operators


@pytest.mark.parametrize("name", each_net(TINY))
def test_fusing_twice_changes_nothing(name: str) -> None:
    once = fused(name)
    assert fingerprint(fxpasses.fuse(once)) == fingerprint(once)


def test_leaves_the_captured_graph_and_the_model_alone() -> None:
    net = TINY["conv_bn_relu"]
    model = net.build()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    graph = fxpasses.capture(model, net.example_inputs())
    before = fingerprint(graph)
    fxpasses.fuse(graph)
    assert fingerprint(graph) == before
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_logs_every_pass() -> None:
    logged = [log.name for log in pass_logs(fused("conv_bn_relu"))][-len(FUSION) :]
    assert logged == [pass_name(p) for p in FUSION]


def test_a_model_that_was_not_captured() -> None:
    with pytest.raises(GraphError, match="got a Linear that was not captured"):
        fxpasses.fuse(nn.Linear(2, 2))  # type: ignore[arg-type]  # what the test is about


def test_a_graph_of_a_later_stage() -> None:
    observed = fxpasses.observe(captured("conv_bn_relu"))
    with pytest.raises(GraphError, match=r"got a graph in stage OBSERVED\n.*works on a FLOAT graph"):
        fxpasses.fuse(observed)
