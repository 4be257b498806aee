"""Promises of every pass, and the check that a pass keeps them on a net.

A pass must: leave the graph it is given alone, keep its promise on the outputs (fresh inputs, another batch size),
report exactly what it changed, give every candidate a change or a reason, change nothing the second time, give the
same graph twice, and leave a graph that is valid, in its stage, with the shape and the source line of every tensor.

The outputs are compared in float64, where a pass that rounds once more is 1e-12 away and one that forgets an epsilon
of 1e-5 is not, and once more in float32, as graphs are in use.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

import torch
from contract_candidates import (
    clips_in_a_row,
    constants_added_or_multiplied,
    ends_of_written_functions,
    headless_attention,
    identities_of,
    masked_attention,
    named,
    windowed_attention,
    windowed_pools,
)
from tiny_graphs import fresh_inputs, outputs_of
from tiny_nets.net import TinyNet
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.errors import source_line
from fxpasses.graph.meta_keys import DTYPE, SHAPE
from fxpasses.graph.pass_runner import Pass, PassResult, copy_graph, pass_logs, pass_name, run_passes
from fxpasses.graph.shapes import record_shapes
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.passes.attention import open_attention
from fxpasses.passes.attention_masks import drop_open_masks
from fxpasses.passes.attention_rank import give_attention_a_head, join_attention_windows
from fxpasses.passes.batch_norm import fold_batch_norm, fold_batch_norm_forward
from fxpasses.passes.constant_arithmetic import fold_constants_ahead, fold_constants_behind
from fxpasses.passes.equal_calls import find_equal_calls, merge_equal_calls
from fxpasses.passes.identities import drop_identities, merge_clips
from fxpasses.passes.pooling import adaptive_to_plain_pool, mean_to_pool
from fxpasses.passes.written_activations import call_written_activations
from fxpasses.quantization.int8.rewrites import batch_norm_to_conv, channel_pad_to_conv, split_silu

ROUNDINGS = 5000.0
"""Largest number of rounding errors of one unit in an output: sums of the tiny nets have at most 500 terms, each
rounded once more than before, and no output is more than ten times smaller than the sum of its terms' magnitudes.
"""

FIXED_BATCH = frozenset({"cat_rows"})
"""Nets that take no other batch size than their example's, because a constant of that size is concatenated."""


class Promise(Enum):
    EXACT = "the same numbers"
    ROUNDING = "the same up to float rounding"
    LOSSY = "other numbers"


class ContractBroken(AssertionError):
    """Error of a pass that breaks its contract."""


@dataclass(frozen=True)
class Contract:
    """Promises of a pass.

    Attributes:
        graph_pass: the pass.
        promise: effect on the outputs.
        candidates: names of all nodes of a graph that the pass must change or give a reason for.
        stage: the stage it works on.
        refuses: whether there are candidates that it leaves alone without a setting.
    """

    graph_pass: Pass
    promise: Promise
    candidates: Callable[[fx.GraphModule], set[str]]
    stage: Stage = Stage.FLOAT
    refuses: bool = True


CONTRACTS: dict[str, Contract] = {
    pass_name(contract.graph_pass): contract
    for contract in (
        Contract(drop_identities, Promise.EXACT, identities_of),
        Contract(merge_equal_calls, Promise.EXACT, lambda gm: {n.name for n in find_equal_calls(gm)}),
        Contract(call_written_activations, Promise.ROUNDING, ends_of_written_functions),
        Contract(open_attention, Promise.ROUNDING, named("attention"), refuses=False),  # capture opens others itself
        Contract(drop_open_masks, Promise.ROUNDING, masked_attention),
        Contract(join_attention_windows, Promise.ROUNDING, windowed_attention),
        Contract(give_attention_a_head, Promise.ROUNDING, headless_attention),
        Contract(mean_to_pool, Promise.ROUNDING, named("mean")),
        Contract(adaptive_to_plain_pool, Promise.ROUNDING, windowed_pools),
        Contract(fold_batch_norm, Promise.ROUNDING, named("batch_norm")),
        Contract(fold_batch_norm_forward, Promise.ROUNDING, named("batch_norm")),
        Contract(fold_constants_behind, Promise.ROUNDING, constants_added_or_multiplied),
        Contract(fold_constants_ahead, Promise.ROUNDING, constants_added_or_multiplied),
        Contract(merge_clips, Promise.EXACT, clips_in_a_row),
        Contract(batch_norm_to_conv, Promise.ROUNDING, named("batch_norm")),
        Contract(channel_pad_to_conv, Promise.EXACT, named("pad")),
        Contract(split_silu, Promise.ROUNDING, named("silu"), refuses=False),
    )
}
"""Every pass of the toolkit by name."""


def check_contract(contract: Contract, net: TinyNet) -> PassResult:
    """Run a pass on a net's captured graph and check all its promises; return its report.

    Raises:
        ContractBroken: the first promise that does not hold.
        GraphError: the runner itself refused the result of the pass.
    """
    before = _captured(net, torch.float64)
    untouched = fingerprint(before)
    after = run_passes(before, [contract.graph_pass], stage=contract.stage)
    result = pass_logs(after)[-1].result
    _require(fingerprint(before) == untouched, "it changed the graph it was given")
    _check_report(contract, before, after, result)
    _check_graph(contract, before, after)
    if fingerprint(after) != untouched or _notes(after) != _notes(before):
        _check_notes(before, after)
        _check_outputs(contract.promise, net, before, after, torch.float64)
        _check_again(contract, before, after)
        single = _captured(net, torch.float32)
        _check_outputs(contract.promise, net, single, _run(contract, single), torch.float32)
    return result


def _run(contract: Contract, gm: fx.GraphModule) -> fx.GraphModule:
    return run_passes(gm, [contract.graph_pass], stage=contract.stage)


def _check_again(contract: Contract, before: fx.GraphModule, after: fx.GraphModule) -> None:
    twin = _run(contract, before)
    _require(fingerprint(twin) == fingerprint(after), "it gives another graph when it is run again")
    again = _run(contract, after)
    _require(fingerprint(again) == fingerprint(after), "it changes its own result when it runs a second time")
    _require(not pass_logs(again)[-1].result.changed, "it reports a change when it runs a second time")


def fingerprint(gm: fx.GraphModule) -> dict[str, tuple[object, ...]]:
    """Everything that defines a graph, by node: target, arguments, settings and parameters."""
    return {n.name: (n.op, _target(gm, n), _readable(n.args), _readable(n.kwargs)) for n in gm.graph.nodes}


@cache
def _captured(net: TinyNet, dtype: torch.dtype) -> fx.GraphModule:
    return fxpasses.capture(net.build().to(dtype), _as_type(net.example_inputs(), dtype))


def _as_type(inputs: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    return tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs)


def _require(holds: bool, broken: str) -> None:
    if not holds:
        raise ContractBroken(broken)


def _check_outputs(promise: Promise, net: TinyNet, before: nn.Module, after: nn.Module, dtype: torch.dtype) -> None:
    for seed, batch in ((1, None), (2, 3)):
        if batch is not None and net.name in FIXED_BATCH:
            continue
        inputs = _as_type(fresh_inputs(net, seed, batch), dtype)
        for expected, found in zip(outputs_of(before, inputs), outputs_of(after, inputs), strict=True):
            _require(expected.shape == found.shape, f"an output is {tuple(found.shape)}, was {tuple(expected.shape)}")
            _require(expected.dtype == found.dtype, f"an output is {found.dtype}, was {expected.dtype}")
            if promise is Promise.EXACT:
                _require(torch.equal(expected, found), "it promised the same outputs and gives others")
            elif promise is Promise.ROUNDING:
                limit = ROUNDINGS * torch.finfo(dtype).eps * float(expected.abs().max())
                off = float((expected - found).abs().max())
                _require(off <= limit, f"its outputs are {off:.2g} away, rounding explains {limit:.2g}")


def _check_report(contract: Contract, before: fx.GraphModule, after: fx.GraphModule, result: PassResult) -> None:
    changed, skipped = [c.node for c in result.changed], [s.node for s in result.skipped]
    names = {node.name for node in before.graph.nodes}
    unknown = [name for name in (*changed, *skipped) if name not in names]
    _require(not unknown, f"it reports on {unknown}, which the graph does not have")
    _require(len({*changed, *skipped}) == len(changed) + len(skipped), "it reports on a node twice")
    _require(all(c.what.strip() for c in result.changed), "it reports a change without saying what")
    _require(all(s.why.strip() for s in result.skipped), "it skips a node without a reason")
    really = changed_between(before, after)
    told = {word for change in result.changed for word in (change.node, *re.findall(r"\w+", change.what))}
    _require(really <= told, f"it changed {sorted(really - told)} and does not report it")
    _require(set(changed) <= really, f"it reports a change of {sorted(set(changed) - really)}, which are as they were")
    silent = contract.candidates(before) - {*changed, *skipped}
    _require(not silent, f"it neither changes {sorted(silent)} nor says why not")


def changed_between(before: fx.GraphModule, after: fx.GraphModule) -> set[str]:
    """Nodes that are gone, or compute something else; reading the successor of a removed node does not count."""
    olds, news = fingerprint(before), fingerprint(after)
    gone = set(olds) - set(news)
    return gone | {name for name in set(olds) & set(news) if not _same(olds[name], news[name], gone)}


def _check_graph(contract: Contract, before: fx.GraphModule, after: fx.GraphModule) -> None:
    _require(stage_of(after) is contract.stage, f"it leaves the graph in stage {stage_of(after)}")
    _require(not any(m.training for m in after.modules()), "it leaves a module in training mode")
    new = {name for name, _ in after.named_modules()} - {name for name, _ in before.named_modules()}
    used = {str(node.target) for node in after.graph.nodes}
    unused = {name for name in new if not any(f"{target}.".startswith(f"{name}.") for target in used)}
    _require(not unused, f"it leaves modules that nothing calls: {sorted(unused)}")


def _notes(gm: fx.GraphModule) -> list[tuple[object, ...]]:
    """Metadata of the nodes."""
    return [(n.name, n.meta.get(SHAPE), n.meta.get(DTYPE), source_line(n)) for n in gm.graph.nodes]


def _check_notes(before: fx.GraphModule, after: fx.GraphModule) -> None:
    measured = copy_graph(after)
    try:
        record_shapes(measured, _example_inputs(before))
    except RuntimeError as error:
        raise ContractBroken(f"the graph it leaves does not run: {str(error).splitlines()[0]}") from error
    known = all(source_line(n) for n in before.graph.nodes if n.op.startswith("call_"))
    for node, truth in zip(after.graph.nodes, measured.graph.nodes, strict=True):
        for key in (SHAPE, DTYPE):
            said, true = node.meta.get(key), truth.meta.get(key)
            _require(said == true, f"the {key} of {node.name} is noted as {said}, and is {true}")
        if known and node.op.startswith("call_"):
            _require(bool(source_line(node)), f"the source line of {node.name} is lost")


def _example_inputs(gm: fx.GraphModule) -> tuple[Tensor, ...]:
    made = []
    for node in gm.graph.nodes:
        if node.op == "placeholder":
            shape, dtype = node.meta[SHAPE], node.meta[DTYPE]
            made.append(torch.zeros(shape, dtype=dtype))
    return tuple(made)


def _target(gm: fx.GraphModule, node: fx.Node) -> object:
    if node.op == "call_module":
        module = gm.get_submodule(str(node.target))
        state = tuple((name, _digest(value)) for name, value in module.state_dict().items())
        return node.target, type(module).__name__, module.extra_repr(), state
    if node.op == "get_attr":
        path, _, name = str(node.target).rpartition(".")
        return node.target, _digest(getattr(gm.get_submodule(path), name))
    return node.target


def _digest(value: object) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    data = value.detach().contiguous().view(-1).view(torch.uint8) if value.numel() else value
    return f"{value.dtype} {tuple(value.shape)} {hashlib.sha1(data.numpy().tobytes()).hexdigest()}"


@dataclass(frozen=True)
class _Read:
    """A node among the arguments of another."""

    name: str


def _readable(value: Any) -> object:
    """Arguments with nodes by name, comparable and independent of the graph they are in."""
    if isinstance(value, fx.Node):
        return _Read(value.name)
    if isinstance(value, (tuple, list)):
        return tuple(_readable(v) for v in value)
    if isinstance(value, dict):
        return tuple((k, _readable(v)) for k, v in value.items())
    if isinstance(value, slice):
        return "slice", _readable(value.start), _readable(value.stop), _readable(value.step)
    return repr(value)  # 1 and 1.0 are equal, and not the same to torch


def _same(old: object, new: object, gone: set[str]) -> bool:
    """Whether two readable values are equal; a reader of a removed node may read any other."""
    if isinstance(old, _Read) and old.name in gone:
        return isinstance(new, _Read)
    if isinstance(old, tuple) and isinstance(new, tuple):
        return len(old) == len(new) and all(_same(a, b, gone) for a, b in zip(old, new, strict=True))
    return old == new
