"""The contract rejects passes that are wrong, for the right reason."""

from __future__ import annotations

from dataclasses import replace

import broken_passes as broken
import broken_reports as reports
import pytest
from contracts import CONTRACTS, Contract, ContractBroken, Promise, check_contract
from odd_nets import ODD
from tiny_nets.all_nets import TINY
from torch import fx

from fxpasses.errors import GraphError
from fxpasses.graph import pass_runner
from fxpasses.graph.pass_runner import Pass, PassResult
from fxpasses.passes.batch_norm import fold_batch_norm

NETS = TINY | ODD


def _nothing(gm: fx.GraphModule) -> set[str]:
    return set()


ANY_RELU = Contract(fold_batch_norm, Promise.EXACT, _nothing)
"""Contract of an invented pass that rewrites ReLUs."""
FOLD = CONTRACTS["fold_batch_norm"]

BROKEN: list[tuple[Pass, Contract, str, str]] = [
    (broken.deletes_batch_norm, FOLD, "conv_bn_relu", "its outputs are .* away"),
    (broken.deletes_batch_norm, FOLD, "bn_relu_conv", "its outputs are .* away"),
    (broken.folds_ignoring_eps, FOLD, "conv_bn_relu", "its outputs are .* away"),
    (broken.folds_ignoring_eps, FOLD, "conv_bn_other_eps", "its outputs are .* away"),
    (broken.folds_along_wrong_axis, FOLD, "conv_transpose2d_bn", "its outputs are .* away"),
    (broken.folds_along_wrong_axis, FOLD, "conv_transpose3d_bn", "its outputs are .* away"),
    (broken.folds_ignoring_groups, FOLD, "conv_transpose2d_grouped_bn", "its outputs are .* away"),
    (broken.folds_in_float32, FOLD, "conv_bn_relu", "its outputs are .* away"),
    (broken.folds_forgetting_the_bias, FOLD, "conv1d_bn_relu", "its outputs are .* away"),
    (broken.folds_despite_other_readers, FOLD, "conv_with_two_readers", "its outputs are .* away"),
    (broken.folds_despite_other_readers, FOLD, "weight_read_elsewhere", "its outputs are .* away|does not report it"),
    (broken.edits_a_shared_module, FOLD, "shared_conv_one_bn", "its outputs are .* away"),
    (broken.edits_a_shared_module, FOLD, "shared_conv_two_bns", "its outputs are .* away"),
    (broken.folds_forward_through_padding, FOLD, "bn_conv_padded", "its outputs are .* away"),
    (broken.drops_every_dropout, CONTRACTS["drop_identities"], "dropout_always", "promised the same outputs"),
    (broken.keeps_the_outer_clip_only, CONTRACTS["merge_clips"], "clips_apart", "promised the same outputs"),
    (broken.intersects_clips, CONTRACTS["merge_clips"], "clips_apart", "promised the same outputs"),
    (
        reports.merges_integers,
        CONTRACTS["merge_clips"],
        "clip_of_integers",
        "the graph it leaves does not run: .*indices",
    ),
    (reports.reports_nothing, FOLD, "conv_bn_relu", "it changed .* and does not report it"),
    (reports.reports_no_reasons, FOLD, "conv_relu_bn", "neither changes .* nor says why not"),
    (reports.gives_empty_reasons, FOLD, "conv_bn_relu", "skips a node without a reason"),
    (reports.reports_what_it_did_not_do, FOLD, "conv_bn_relu", "it reports a change of .*, which are as they were"),
    (reports.reports_unknown_nodes, FOLD, "conv_bn_relu", "which the graph does not have"),
    (reports.reports_twice, FOLD, "conv_bn_relu", "reports on a node twice"),
    (reports.folds_only_the_first, ANY_RELU, "shared_relu", "changes its own result when it runs a second time"),
    (reports.adds_a_clip_every_time, ANY_RELU, "conv_bn_relu", "changes its own result when it runs a second time"),
    (reports.depends_on_a_counter, ANY_RELU, "conv_bn_relu", "gives another graph when it is run again"),
    (reports.forgets_the_shape, ANY_RELU, "conv_bn_relu", "the shape of clamp is noted as None"),
    (reports.notes_a_wrong_shape, CONTRACTS["mean_to_pool"], "mean", "the shape of .* is noted as"),
    (reports.forgets_the_source_line, ANY_RELU, "conv_bn_relu", "the source line of clamp is lost"),
    (reports.leaves_modules_behind, ANY_RELU, "conv_bn_relu", "leaves modules that nothing calls"),
    (reports.leaves_a_module_training, ANY_RELU, "conv_bn_relu", "leaves a module in training mode"),
]


@pytest.mark.parametrize(
    ("graph_pass", "contract", "net", "why"), BROKEN, ids=[f"{p.__name__}-{net}" for p, _, net, _ in BROKEN]
)
def test_broken_passes_are_rejected(graph_pass: Pass, contract: Contract, net: str, why: str) -> None:
    with pytest.raises(ContractBroken, match=why):
        check_contract(replace(contract, graph_pass=graph_pass), NETS[net])


@pytest.mark.parametrize(
    ("graph_pass", "why"),
    [
        (reports.leaves_another_stage, "works on a FLOAT graph"),
        (reports.leaves_nodes_out_of_order, "was used before it has been defined"),
    ],
)
def test_the_runner_itself_rejects_what_is_not_a_graph(graph_pass: Pass, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        check_contract(replace(ANY_RELU, graph_pass=graph_pass), NETS["conv_bn_relu"])


def test_a_runner_that_does_not_copy_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_runner, "copy_graph", lambda gm: gm)
    net = replace(TINY["conv_bn_relu"], name="conv_bn_relu_for_editing")
    with pytest.raises(ContractBroken, match="it changed the graph it was given"):
        check_contract(FOLD, net)


def test_a_pass_that_edits_another_graph_is_rejected() -> None:
    """The pass keeps a graph that it was given before, and edits that one, too."""
    seen: list[fx.GraphModule] = []
    net = replace(TINY["conv_bn_relu"], name="conv_bn_relu_for_keeping")

    def remembers(gm: fx.GraphModule) -> PassResult:
        seen.append(gm)
        fold_batch_norm(seen[0]) if len(seen) > 1 else None
        return fold_batch_norm(gm) if len(seen) == 1 else PassResult()

    with pytest.raises(ContractBroken, match="gives another graph when it is run again"):
        check_contract(replace(FOLD, graph_pass=remembers), net)


def test_every_broken_pass_is_tried() -> None:
    written = {name for name, value in vars(broken).items() if callable(value) and value.__module__ == broken.__name__}
    passes = {id(graph_pass) for graph_pass, *_ in BROKEN} | {
        id(reports.leaves_another_stage),
        id(reports.leaves_nodes_out_of_order),
    }
    assert {n for n in written if not n.startswith("_") and id(getattr(broken, n)) not in passes} == set()
