"""Removing channels: exact for all dependencies of channels, and the given graph is not changed."""

from __future__ import annotations

import pytest
import torch
from channel_removals import RELATIVE_TOLERANCE, random_removal, relative_difference
from pruning_nets import PRUNING_NETS, SelfAttention
from tiny_graphs import captured, fresh_inputs, fused, outputs_of
from tiny_nets.all_nets import TINY
from tiny_nets.net import TinyNet

import fxpasses as fx
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.pruning import channel_scores, choose_channels, find_dependencies, mask_channels, shrink

RANDOM_SHARES = (0.3, 0.7)
WITH_BATCH_NORM = ("chain", "residual", "dense_cat", "depthwise", "one_dimension")


def graph_of(net: TinyNet, *, fuse: bool) -> torch.fx.GraphModule:
    graph = fx.capture(net.build(), net.example_inputs())
    return fx.fuse(graph) if fuse else graph


@pytest.mark.parametrize("name", PRUNING_NETS)
def test_shrunk_equals_masked(name: str) -> None:
    check_exactness(name, fuse=False)


@pytest.mark.parametrize("name", WITH_BATCH_NORM)
def test_shrunk_equals_masked_where_batch_norms_were_folded(name: str) -> None:
    check_exactness(name, fuse=True)


def check_exactness(name: str, *, fuse: bool) -> None:
    net = PRUNING_NETS[name]
    graph = graph_of(net, fuse=fuse)
    before = [p.clone() for p in graph.parameters()]
    for seed, share in enumerate(RANDOM_SHARES):
        removal = random_removal(graph, share, seed)
        assert len(removal.classes), "nothing of this net can be removed"
        assert relative_difference(removal, fresh_inputs(net, seed=3, batch=3)) < RELATIVE_TOLERANCE
    assert all(torch.equal(a, b) for a, b in zip(before, graph.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_every_tiny_net_shrinks_or_stays(name: str) -> None:
    for graph in (captured(name), fused(name)):
        removal = random_removal(graph, 0.5)
        if len(removal.classes):
            assert relative_difference(removal, fresh_inputs(TINY[name], seed=4)) < RELATIVE_TOLERANCE


@pytest.mark.parametrize("through", [False, True])
def test_attention_opened_by_export(through: bool) -> None:
    graph = fx.capture(SelfAttention().eval(), torch.randn(2, 5, 6), method="export")
    removal = random_removal(graph, 0.5, through_layer_norm=through)
    paths = set(removal.channels())
    assert "attention.in_proj" in paths
    assert ("attention.out_proj" in paths) == through
    assert relative_difference(removal, (torch.randn(3, 5, 6),)) < RELATIVE_TOLERANCE


def test_masked_differs_from_dense() -> None:
    """The masked graph must differ from the dense one, so that equality with it means something."""
    net = PRUNING_NETS["residual"]
    graph = graph_of(net, fuse=True)
    inputs = fresh_inputs(net, seed=0)
    masked = mask_channels(random_removal(graph, 0.5))
    assert not torch.allclose(outputs_of(masked, inputs)[0], outputs_of(graph, inputs)[0], rtol=0.01)


def test_what_shrank_is_logged() -> None:
    graph = graph_of(PRUNING_NETS["chain"], fuse=True)
    small = shrink(choose_channels(find_dependencies(graph), 0.5, channel_scores(graph)))
    log = pass_logs(small)[-1]
    assert log.name == "shrink"
    assert {(c.node, c.what) for c in log.result.changed} == {("_0", "8 -> 4 channels"), ("_3", "10 -> 5 channels")}


def test_shrunk_graphs_are_quantized_like_any_other() -> None:
    net = PRUNING_NETS["residual"]
    graph = graph_of(net, fuse=False)
    small = fx.fuse(shrink(random_removal(graph, 0.5)))
    observed = fx.observe(small, fx.QuantConfig(observer="minmax"))
    fx.calibrate(observed, [fresh_inputs(net, seed=s) for s in range(3)])
    inputs = fresh_inputs(net, seed=9)
    found, expected = outputs_of(fx.convert(observed), inputs)[0], outputs_of(small, inputs)[0]
    assert float((found - expected).abs().max()) < 0.2 * float(expected.abs().max())


def test_a_number_that_depends_on_a_channel_count() -> None:
    class Depends(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.one(x)
            out: torch.Tensor = self.two(y * torch.numel(y))
            return out

    graph = fx.capture(Depends().eval(), torch.randn(2, 6))
    dependencies = find_dependencies(graph)
    assert dependencies.groups == (), "what reads a tensor and is not understood freezes it"
    assert "numel" in str(dependencies.frozen["one"])


def test_verification_catches_a_wrong_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small graph would not run, or would compute something else, if sizes in it were not updated."""
    from fxpasses.pruning.channels import shrinking

    monkeypatch.setattr(shrinking, "fix_sizes", lambda *_: None)
    removal = random_removal(graph_of(PRUNING_NETS["fused_attention"], fuse=True), 0.5)
    with pytest.raises(fx.GraphError, match="does not run"):
        shrink(removal)
    scaled = random_removal(graph_of(PRUNING_NETS["scaled_by_width"], fuse=True), 0.5)
    with pytest.raises(fx.GraphError, match="computes something else"):
        shrink(scaled)
