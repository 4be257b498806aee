"""Tiny nets: repeatable, in eval mode, and with their special properties."""

from __future__ import annotations

import pytest
import torch
from tiny_nets.all_nets import REFUSED, TINY, TinyNet
from tiny_nets.net import by_name, tiny
from tiny_nets.share import each_net
from torch import Tensor, fx, nn
from torch.utils import _pytree


class KeepsLeaves(fx.Tracer):
    def __init__(self, leaves: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self.leaves) or super().is_leaf_module(m, module_qualified_name)


def outputs(module: nn.Module, net: TinyNet) -> list[Tensor]:
    with torch.no_grad():
        leaves = _pytree.tree_leaves(module(*net.example_inputs()))
    assert all(isinstance(leaf, Tensor) for leaf in leaves)
    return leaves


@pytest.mark.parametrize("name", each_net(TINY))
def test_every_net_runs_is_repeatable_and_traces_to_the_same(name: str) -> None:
    net = TINY[name]
    module = net.build()
    first = outputs(module, net)
    assert not any(part.training for part in module.modules())
    assert all(bool(value.isfinite().all()) for value in first)
    # Values that fade or explode would make any quantization of them meaningless.
    assert all(0.02 < float(value.std()) < 30 for value in first)
    assert all(torch.equal(one, two) for one, two in zip(first, outputs(net.build(), net), strict=True))
    traced = fx.symbolic_trace(module)
    assert all(torch.equal(one, two) for one, two in zip(first, outputs(traced, net), strict=True))


@pytest.mark.parametrize("name", ["data_dependent_if", "only_by_export", "only_with_leaf"])
def test_symbolic_trace_fails_where_the_name_says(name: str) -> None:
    module = REFUSED[name].build()
    assert outputs(module, REFUSED[name])
    with pytest.raises((fx.proxy.TraceError, TypeError)):
        fx.symbolic_trace(module)


@pytest.mark.parametrize("name", ["only_by_export", "only_by_export_augmented_assignment"])
def test_export_gets_right_what_symbolic_trace_does_not(name: str) -> None:
    net = REFUSED[name]
    module = net.build()
    exported = torch.export.export(module, net.example_inputs(), strict=False).module()
    torch.testing.assert_close(outputs(exported, net), outputs(module, net))


def test_symbolic_trace_is_silently_wrong_on_an_augmented_assignment() -> None:
    net = REFUSED["only_by_export_augmented_assignment"]
    module = net.build()
    assert not torch.allclose(outputs(module, net)[0], outputs(fx.symbolic_trace(module), net)[0])


def test_the_leaf_makes_its_net_traceable() -> None:
    net = REFUSED["only_with_leaf"]
    module = net.build()
    traced = fx.GraphModule(module, KeepsLeaves(net.leaves).trace(module))
    assert torch.equal(outputs(traced, net)[0], outputs(module, net)[0])


@pytest.mark.parametrize("name", ["batch_norm_in_training", "dropout_in_training"])
def test_nets_in_training_are_in_training(name: str) -> None:
    assert REFUSED[name].build().training


def test_names_are_distinct() -> None:
    assert not TINY.keys() & REFUSED.keys()
    with pytest.raises(AssertionError, match="two tiny nets are called twin"):
        by_name([tiny("twin", nn.Identity), tiny("twin", nn.Identity)])


def test_building_leaves_the_random_stream_alone() -> None:
    before = torch.random.get_rng_state()
    net = TINY["conv_bn_relu"]
    outputs(net.build(), net)
    assert torch.equal(torch.random.get_rng_state(), before)
