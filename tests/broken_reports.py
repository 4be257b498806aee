"""Passes that compute the right result but report it wrongly, repeat it, or leave something wrong behind."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import fx, nn

from fxpasses.graph.edit import insert_call, operator_name, replace_node, respell
from fxpasses.graph.meta_keys import SHAPE
from fxpasses.graph.pass_runner import PassResult
from fxpasses.graph.stages import Stage, set_stage
from fxpasses.passes.batch_norm import fold_batch_norm
from fxpasses.passes.identities import merge_clips


def reports_nothing(gm: fx.GraphModule) -> PassResult:
    fold_batch_norm(gm)
    return PassResult()


def reports_no_reasons(gm: fx.GraphModule) -> PassResult:
    return PassResult(changed=fold_batch_norm(gm).changed)


def gives_empty_reasons(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "batch_norm"]:
        result.skip(node, " ")
    return result


def reports_what_it_did_not_do(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "batch_norm"]:
        result.change(node, "folded, honestly")
    return result


def reports_unknown_nodes(gm: fx.GraphModule) -> PassResult:
    result = fold_batch_norm(gm)
    for node in gm.graph.nodes:
        node.name = f"{node.name}_renamed"
        result.skip(node, "it was renamed")
    return result


def reports_twice(gm: fx.GraphModule) -> PassResult:
    result = fold_batch_norm(gm)
    for change in list(result.changed):
        result.changed.append(change)
    return result


def folds_only_the_first(gm: fx.GraphModule) -> PassResult:
    """Stop after one change: the next run finds more."""
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "relu"]:
        result.change(node, "is a clamp")
        respell(node, torch.clamp, min=0.0)
        break
    return result


def adds_a_clip_every_time(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "relu"]:
        node.args = (insert_call(gm, node, torch.relu, node.args[0], like=node),)
        result.change(node, "is done twice, to be sure")
    return result


_CALLS = itertools.count()


def depends_on_a_counter(gm: fx.GraphModule) -> PassResult:
    """Give another graph at each run: every second time the other spelling."""
    result, odd = PassResult(), next(_CALLS) % 2
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "relu"]:
        new = insert_call(gm, node, torch.clamp, node.args[0], like=node, min=0.0 if odd else 0)
        result.change(node, "is a clamp")
        replace_node(gm, node, new)
    return result


def forgets_the_shape(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "relu"]:
        result.change(node, "is a clamp")
        new = insert_call(gm, node, torch.clamp, node.args[0], min=0.0)
        new.meta["stack_trace"] = node.meta.get("stack_trace")
        replace_node(gm, node, new)
    return result


def notes_a_wrong_shape(gm: fx.GraphModule) -> PassResult:
    """Rewrite a mean as a pool, but keep the mean's shape in its metadata."""
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "mean"]:
        if node.kwargs.get("dim") not in ((2, 3), [2, 3]) or node.kwargs.get("keepdim"):
            result.skip(node, "not global")
            continue
        result.change(node, "is a pool")
        pool = insert_call(gm, node, F.adaptive_avg_pool2d, node.args[0], like=node, output_size=1)
        replace_node(gm, node, insert_call(gm, node, torch.flatten, pool, like=node, start_dim=1))
    return result


def forgets_the_source_line(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "relu"]:
        result.change(node, "is a clamp")
        new = insert_call(gm, node, torch.clamp, node.args[0], min=0.0)
        new.meta = {k: v for k, v in node.meta.items() if k in (SHAPE, "dtype")}
        replace_node(gm, node, new)
    return result


def leaves_modules_behind(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "relu"]:
        gm.add_submodule(f"{node.name}_unused", nn.ReLU().eval())
        result.change(node, "is a clamp")
        respell(node, torch.clamp, min=0.0)
    return result


def leaves_a_module_training(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "relu"]:
        gm.add_submodule(f"{node.name}_module", nn.ReLU())
        with gm.graph.inserting_before(node):
            new = gm.graph.call_module(f"{node.name}_module", node.args)
        new.meta = dict(node.meta)
        result.change(node, "is a module")
        replace_node(gm, node, new)
    return result


def leaves_another_stage(gm: fx.GraphModule) -> PassResult:
    set_stage(gm, Stage.OBSERVED)
    return PassResult()


def leaves_nodes_out_of_order(gm: fx.GraphModule) -> PassResult:
    last = next(n for n in reversed(gm.graph.nodes) if n.op.startswith("call_"))
    first = next(n for n in gm.graph.nodes if n.op.startswith("call_"))
    if last is not first:
        first.prepend(last)
    return PassResult()


def merges_integers(gm: fx.GraphModule) -> PassResult:
    """Turn clamps of integers into clamps of floats."""
    result = merge_clips(gm)
    for node in [n for n in gm.graph.nodes if operator_name(gm, n) == "clip" and not n.meta["dtype"].is_floating_point]:
        result.skipped = [s for s in result.skipped if s.node != node.name]
        result.change(node, "has float bounds")
        respell(node, torch.clamp, **{k: float(v) for k, v in node.kwargs.items() if isinstance(v, (int, float))})
    return result
