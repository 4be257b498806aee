"""Graphs of the tiny nets for tests: captured, fused and quantized once, and new inputs."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tiny_nets.all_nets import TINY
from tiny_nets.net import TinyNet
from torch import Tensor, fx
from torch.utils import _pytree as pytree

import fxpasses
from fxpasses.graph.pass_runner import PassLog, copy_graph, pass_logs
from fxpasses.quantization.config import QuantConfig

CALIBRATION_BATCHES = 4
X86 = QuantConfig(target="x86", observer="minmax")
"""Settings of most tests: ranges that need no search."""
INTEGERS = QuantConfig(target="x86", observer="minmax", float_results=False)
"""Settings for operators at the end of a net, which else compute in float for the caller."""
PAIR_SAFE = QuantConfig(target="x86-avx2", observer="minmax")
"""Settings with weights that the packed kernels of every CPU compute exactly: for tests of these kernels."""
_TOKENS = 17
"""Size of the vocabulary of the tiny nets that read tokens."""


def fresh_inputs(net: TinyNet, seed: int, batch: int | None = None) -> tuple[Tensor, ...]:
    """Inputs with the shapes of a net's example inputs, with other values and perhaps another batch size."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for example in net.example_inputs():
        shape = (batch or example.shape[0], *example.shape[1:])
        if example.is_floating_point():
            made.append(torch.randn(shape, generator=generator, dtype=example.dtype))
        else:
            made.append(torch.randint(_TOKENS, shape, generator=generator))
    return tuple(made)


@cache
def captured(name: str) -> fx.GraphModule:
    """FLOAT graph of a tiny net as captured; not to be changed."""
    net = TINY[name]
    return fxpasses.capture(net.build(), net.example_inputs())


@cache
def fused(name: str) -> fx.GraphModule:
    """Fused FLOAT graph of a tiny net; not to be changed."""
    return fxpasses.fuse(captured(name))


def capture_net(net: TinyNet) -> fx.GraphModule:
    """A fresh FLOAT graph of any tiny net."""
    return fxpasses.capture(net.build(), net.example_inputs())


def calibration_data(net: TinyNet) -> list[tuple[Tensor, ...]]:
    return [fresh_inputs(net, seed) for seed in range(CALIBRATION_BATCHES)]


@cache
def observed(name: str, config: QuantConfig = X86) -> fx.GraphModule:
    """OBSERVED graph, calibrated on :func:`calibration_data`; not to be changed."""
    graph = fxpasses.observe(fused(name), config)
    fxpasses.calibrate(graph, calibration_data(TINY[name]))
    return graph


@cache
def quantized(name: str, config: QuantConfig = X86) -> fx.GraphModule:
    """QUANTIZED graph of a tiny net; not to be changed."""
    return fxpasses.convert(observed(name, config))


def quantize_net(net: TinyNet, config: QuantConfig = X86) -> fx.GraphModule:
    """A fresh QUANTIZED graph of any tiny net."""
    return fxpasses.quantize(net.build(), net.example_inputs(), calibration_data(net), config)


@torch.no_grad()
def outputs_of(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """All tensors in a module's output, for copies of the inputs."""
    leaves: list[Any] = pytree.tree_leaves(module(*(x.clone() for x in inputs)))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def calibration_results(model: torch.nn.Module, name: str) -> Tensor:
    """All numbers in the outputs of a model for the calibration data of a tiny net."""
    return torch.cat([y.flatten() for inputs in calibration_data(TINY[name]) for y in outputs_of(model, inputs)])


@cache
def float_results(name: str) -> Tensor:
    """:func:`calibration_results` of the float net; not to be changed."""
    return calibration_results(TINY[name].build(), name)


def exact_outputs(gm: fx.GraphModule, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Outputs of a QUANTIZED graph by exact arithmetic; its own torch operators would sum floats, in some order."""
    return outputs_of(fxpasses.export.to_torch(gm, "reference"), inputs)


def close(found: list[Tensor], expected: list[Tensor]) -> bool:
    """Whether values are equal except for the rounding of float32 sums."""
    pairs = zip(found, expected, strict=True)
    return all(torch.allclose(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max())) for a, b in pairs)


def node_named(gm: fx.GraphModule, name: str) -> fx.Node:
    found: fx.Node = next(node for node in gm.graph.nodes if node.name == name)
    return found


def operators_of(gm: fx.GraphModule) -> list[str]:
    """Operators of the vocabulary in a graph, in order; a node outside it by its target."""
    from fxpasses.graph.edit import operator_name

    calls = [n for n in gm.graph.nodes if n.op.startswith("call_")]
    return [operator_name(gm, n) or str(getattr(n.target, "__name__", n.target)) for n in calls]


def log_of(gm: fx.GraphModule, name: str) -> PassLog:
    """Last log entry of the pass or step with a name."""
    return [log for log in pass_logs(gm) if log.name == name][-1]


def changed_nodes(gm: fx.GraphModule, name: str) -> list[str]:
    return [change.node for change in log_of(gm, name).result.changed]


def skip_reasons(gm: fx.GraphModule, name: str) -> dict[str, str]:
    return {skip.node: skip.why for skip in log_of(gm, name).result.skipped}


def own_copy(gm: fx.GraphModule) -> fx.GraphModule:
    """A copy that a test may change."""
    return copy_graph(gm)
