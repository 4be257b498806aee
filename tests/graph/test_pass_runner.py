"""run_passes: copies, checks, logs; and names the pass that failed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from contracts import fingerprint
from tiny_graphs import captured, fresh_inputs, outputs_of
from tiny_nets.all_nets import TINY
from torch import fx, nn

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.graph.pass_runner import Change, PassLog, PassResult, Skip, copy_graph, pass_logs, pass_name, run_passes
from fxpasses.graph.stages import Stage, graph_facts, set_stage, stage_of


def does_nothing(gm: fx.GraphModule) -> PassResult:
    return PassResult()


def skips_the_output(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    result.skip(gm.graph.output_node(), "it is the output")
    return result


@dataclass(frozen=True)
class WithSettings:
    amount: int = 1

    def __call__(self, gm: fx.GraphModule) -> PassResult:
        return PassResult()


def test_runs_passes_in_order_and_logs_each() -> None:
    gm = run_passes(captured("conv_bn_relu"), [does_nothing, skips_the_output])
    assert pass_logs(gm)[-2:] == [
        PassLog("does_nothing", PassResult()),
        PassLog("skips_the_output", PassResult(skipped=[Skip("output", "it is the output")])),
    ]


def test_logs_go_on_from_run_to_run_and_not_back_to_the_source() -> None:
    source = captured("conv_bn_relu")
    before = len(pass_logs(source))
    once = run_passes(source, [does_nothing])
    twice = run_passes(once, [skips_the_output])
    assert [len(pass_logs(g)) - before for g in (source, once, twice)] == [0, 1, 2]


def test_a_result_names_nodes_and_not_holds_them() -> None:
    node = next(iter(captured("conv_bn_relu").graph.nodes))
    result = PassResult()
    result.change(node, "gone")
    result.skip(node, "no need")
    assert result == PassResult([Change(node.name, "gone")], [Skip(node.name, "no need")])


def test_names_a_function_and_a_dataclass() -> None:
    assert (pass_name(does_nothing), pass_name(WithSettings(2))) == ("does_nothing", "WithSettings")


def test_the_copy_shares_nothing() -> None:
    source = captured("shared_conv_one_bn")
    twin = copy_graph(source)
    assert fingerprint(twin) == fingerprint(source)
    assert stage_of(twin) is Stage.FLOAT
    ours, theirs = dict(source.named_parameters()), dict(twin.named_parameters())
    assert ours.keys() == theirs.keys()
    assert not {p.data_ptr() for p in ours.values()} & {p.data_ptr() for p in theirs.values()}
    assert not set(source.graph.nodes) & set(twin.graph.nodes)
    graph_facts(twin).example_inputs = ()
    assert graph_facts(source).example_inputs != ()


def test_a_copy_keeps_what_is_shared_inside_it() -> None:
    twin = copy_graph(captured("tied_weights"))
    assert twin.get_parameter("first.weight") is twin.get_parameter("second.weight")


def test_wrong_stage_before() -> None:
    gm = copy_graph(captured("conv_bn_relu"))
    set_stage(gm, Stage.QUANTIZED)
    with pytest.raises(GraphError, match=r"run_passes got a graph in stage QUANTIZED\n.*works on a FLOAT graph"):
        run_passes(gm, [does_nothing])


def test_not_a_captured_graph() -> None:
    with pytest.raises(GraphError, match="got a Linear that was not captured"):
        run_passes(fx.symbolic_trace(nn.Linear(2, 2)), [does_nothing])


def test_wrong_stage_after_names_the_pass() -> None:
    def moves_on(gm: fx.GraphModule) -> PassResult:
        set_stage(gm, Stage.OBSERVED)
        return PassResult()

    with pytest.raises(GraphError, match="moves_on got a graph in stage OBSERVED"):
        run_passes(captured("conv_bn_relu"), [does_nothing, moves_on])


def test_an_invalid_graph_names_the_pass_and_those_before_it() -> None:
    def turns_around(gm: fx.GraphModule) -> PassResult:
        calls = [n for n in gm.graph.nodes if n.op.startswith("call_")]
        calls[0].prepend(calls[-1])
        return PassResult()

    with pytest.raises(
        GraphError, match=r"(?s)after pass turns_around is not valid.*in:  pass turns_around, after doe"
    ):
        run_passes(captured("conv_bn_relu"), [does_nothing, turns_around])


def test_an_error_of_a_pass_says_which_pass_and_where_in_the_source() -> None:
    def objects(gm: fx.GraphModule) -> PassResult:
        raise GraphError.at_node(next(n for n in gm.graph.nodes if n.op == "call_function"), why="I object", fix="mend")

    with pytest.raises(GraphError, match=r"(?s)at:  File .*why: I object.*in:  pass objects, after nothing"):
        run_passes(captured("conv_bn_relu"), [objects])


def test_an_error_that_names_its_step_is_left_alone() -> None:
    def objects(gm: fx.GraphModule) -> PassResult:
        raise GraphError("a graph", why="too long", fix="cut it", step="measuring")

    with pytest.raises(GraphError, match=r"in:  measuring$"):
        run_passes(captured("conv_bn_relu"), [objects])


def test_the_code_is_compiled_anew_after_each_pass() -> None:
    def drops_the_relu(gm: fx.GraphModule) -> PassResult:
        relu = next(n for n in gm.graph.nodes if n.target is torch.relu)
        relu.replace_all_uses_with(relu.all_input_nodes[0])
        gm.graph.erase_node(relu)
        return PassResult()

    inputs = fresh_inputs(TINY["conv_bn_relu"], 1)
    (found,) = outputs_of(run_passes(captured("conv_bn_relu"), [drops_the_relu]), inputs)
    assert float(found.min()) < 0


def test_what_a_file_tells_is_what_the_pass_did() -> None:
    """The record of a fold, and of a node that stays float, comes back from its text."""
    graph = fxpasses.fuse(fxpasses.capture(TINY["conv_bn_relu"].build(), TINY["conv_bn_relu"].example_inputs()))
    (fold,) = [c for log in pass_logs(graph) for c in log.result.changed if c.folded_into is not None]
    assert Change.of_text(fold.node, fold.what) == fold
    ahead = Change.of_text("bn", "folded into conv, which reads it")
    assert ahead.folded_into is None and ahead.what == "folded into conv, which reads it"
    skip = Skip("mul", "one operand is a number, not a tensor", stays_float=True)
    assert Skip.of_text("mul", skip.text) == skip


def test_the_log_has_its_first_name_as_well() -> None:
    from fxpasses.pass_runner import pass_logs as first_name

    assert first_name is pass_logs
