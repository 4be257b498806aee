"""Pickled and copied graphs have the same nodes, names, shapes and facts in every stage, and can be used further."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import lowered_nets
import pytest
import torch
from int8_files import are_equal, inputs_of
from tiny_graphs import X86, captured, fused, observed, outputs_of, quantized
from torch import Tensor, fx, nn

import fxpasses
from fxpasses import pruning
from fxpasses.errors import InputError
from fxpasses.export import to_torch
from fxpasses.graph.graph_module import RecordedModule
from fxpasses.graph.stages import Stage, config_of, stage_of
from fxpasses.precision.half import to_half

FLOAT = ("residual_block", "dict_output", "two_inputs", "attention", "view_with_size", "embedding_linear",
         "two_outputs", "channel_shuffle", "shared_conv_and_bn")  # fmt: skip
INT8 = ("conv_bn_relu", "squeeze_excite", "cat", "max_pools", "two_outputs")


def _pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  # our own bytes


def _saved(thing: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": _pickled,
    "torch.save": _saved,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def _half_of(graph: fx.GraphModule) -> fx.GraphModule:
    removal = pruning.choose_channels(pruning.find_dependencies(graph), 0.5, pruning.channel_scores(graph, "l1"))
    return pruning.shrink(removal)


@cache
def _pruned() -> fx.GraphModule:
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 15, 4)]
    return _half_of(fxpasses.capture(nn.Sequential(*layers).eval(), torch.randn(2, 3, 9, 7)))


def _described(gm: fx.GraphModule) -> list[tuple[Any, ...]]:
    known = ("shape", "dtype", "stack_trace")
    return [(n.op, n.name, str(n.target), *(n.meta.get(key) for key in known)) for n in gm.graph.nodes]


@pytest.mark.parametrize("way", ["pickle", "torch.save"])
@pytest.mark.parametrize("name", FLOAT)
def test_a_captured_graph(name: str, way: str) -> None:
    gm = captured(name)
    again = WAYS[way](gm)
    assert (again.code, type(again).__name__, stage_of(again)) == (gm.code, type(gm).__name__, Stage.FLOAT)
    assert _described(again) == _described(gm)
    assert list(again.state_dict()) == list(gm.state_dict())
    assert are_equal(outputs_of(again, inputs_of(name)), outputs_of(gm, inputs_of(name)))


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("name", INT8)
def test_an_int8_graph_and_what_is_made_of_it(name: str, way: str) -> None:
    gm = quantized(name)
    again, inputs = WAYS[way](gm), inputs_of(name)
    assert isinstance(again, RecordedModule) and again.code == gm.code
    assert config_of(again) == config_of(gm)
    for engine in ("reference", "x86", "plain"):
        assert are_equal(outputs_of(to_torch(again, engine), inputs), outputs_of(to_torch(gm, engine), inputs))


@pytest.mark.parametrize("way", ["pickle", "torch.save"])
@pytest.mark.parametrize("engine", ["x86", "reference", "plain"])
def test_a_module_of_int8_kernels(engine: str, way: str) -> None:
    net, inputs = to_torch(quantized("conv_bn_relu"), engine), inputs_of("conv_bn_relu", 5)
    assert are_equal(outputs_of(WAYS[way](net), inputs), outputs_of(net, inputs))


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_an_observed_graph_is_converted_to_the_same_integers(way: str) -> None:
    again = fxpasses.convert(WAYS[way](observed("residual_block")))
    inputs = inputs_of("residual_block")
    assert are_equal(outputs_of(again, inputs), outputs_of(quantized("residual_block"), inputs))


@pytest.mark.parametrize("way", ["pickle", "torch.save"])
def test_a_pruned_graph_is_pruned_and_quantized_further(way: str) -> None:
    gm = _pruned()
    again, inputs = WAYS[way](gm), (torch.randn(5, 3, 9, 7),)
    assert are_equal(outputs_of(again, inputs), outputs_of(gm, inputs))
    assert _half_of(again)(*inputs).shape == (5, 4)
    observing = fxpasses.observe(fxpasses.fuse(again), X86)
    fxpasses.calibrate(observing, [inputs])
    assert stage_of(fxpasses.convert(observing)) is Stage.QUANTIZED


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_lowered_graph(way: str) -> None:
    gm = to_half(lowered_nets.mixed(), "fp16")
    again = WAYS[way](gm)
    assert stage_of(again) is Stage.LOWERED
    assert torch.equal(again(lowered_nets.images()), gm(lowered_nets.images()))


def test_parameters_of_a_pickle_can_be_trained_and_are_its_own() -> None:
    gm = fused("conv_bn_relu")
    again = _pickled(gm)
    with torch.no_grad():
        next(again.parameters()).zero_()
    assert all(p.requires_grad for p in again.parameters())
    assert bool(next(gm.parameters()).any())


def test_integers_are_traced_by_torchscript(tmp_path: Any) -> None:
    """A trace holds the packed weights: TorchScript runs it, at any batch size."""
    net, other = to_torch(quantized("conv_bn_relu"), "x86"), inputs_of("conv_bn_relu", 5)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and tells of every Python value
        torch.jit.trace(net, inputs_of("conv_bn_relu")).save(str(tmp_path / "net.ts"))
        assert are_equal(outputs_of(torch.jit.load(str(tmp_path / "net.ts")), other), outputs_of(net, other))


def test_large_images_are_traced_for_every_batch_size() -> None:
    """Their kernels share memory and look up two bytes at a time, neither of which a trace records."""
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2), nn.Conv2d(16, 4, 3)]
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    net = to_torch(fxpasses.quantize(nn.Sequential(*layers).eval(), images[:2], [images], X86))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and tells of every Python value
        traced = torch.jit.trace(net, images[:2])
        for batch in (1, 4):
            assert are_equal(outputs_of(traced, (images[:batch],)), outputs_of(net, (images[:batch],)))


class _Local(nn.Module):
    """A module that is kept whole."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if bool((x > 1e9).any()) else x


def _with_a_leaf(leaf: nn.Module) -> fx.GraphModule:
    return fxpasses.capture(nn.Sequential(nn.Linear(3, 4), leaf).eval(), torch.randn(2, 3))


def test_a_module_kept_whole_goes_along() -> None:
    gm, x = _with_a_leaf(_Local()), torch.randn(5, 3)
    assert torch.equal(_pickled(gm)(x), gm(x))


def test_a_class_that_pickle_cannot_find(tmp_path: Any) -> None:
    class Hidden(_Local):
        pass

    gm = _with_a_leaf(Hidden())
    with pytest.raises(InputError, match=r"(?s)the module '1'.*is not found by its name.*define it at the top"):
        pickle.dumps(gm)
    Hidden.__qualname__ = "Hidden"  # the first remedy: at the top of its file
    sys.modules[__name__].Hidden = Hidden  # type: ignore[attr-defined]
    x = torch.randn(5, 3)
    assert torch.equal(_pickled(gm)(x), gm(x))
