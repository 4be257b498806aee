"""Blocks: a graph is cut only at nodes that all data flows through."""

from __future__ import annotations

import pytest
import torch
from contracts import FIXED_BATCH
from int8_files import inputs_of
from tiny_graphs import fused, outputs_of, quantized
from tiny_nets.all_nets import TINY
from tiny_nets.share import each_net

from fxpasses.graph.cuts import cut_points, part


@pytest.mark.parametrize("name", each_net(sorted(set(TINY) - FIXED_BATCH)))
def test_blocks_in_a_row_compute_what_the_graph_does(name: str) -> None:
    gm = quantized(name)
    inputs = inputs_of(name)
    sources, values = [n for n in gm.graph.nodes if n.op == "placeholder"], list(inputs)
    with torch.no_grad():
        for cut in cut_points(gm.graph):
            values, sources = [part(gm, sources, cut)(*values)], [cut]
        output = next(n for n in gm.graph.nodes if n.op == "output").args[0]
        last = part(gm, sources, output)
        found = outputs_of(last, tuple(values))
    assert all(torch.equal(a, b) for a, b in zip(found, outputs_of(gm, inputs), strict=True))


def test_a_branch_is_not_cut() -> None:
    names = [n.name for n in cut_points(fused("residual_block").graph)]
    branch = [n.name for n in fused("residual_block").graph.nodes if len(n.users) == 1 and "conv" in str(n.target)]
    joined = next(n for n in fused("residual_block").graph.nodes if n.target is torch.add)
    assert joined.name in names
    assert not set(names) & {n.name for n in joined.all_input_nodes if n.name in branch}


def test_a_part_reads_only_its_sources() -> None:
    gm = fused("residual_block")
    first = cut_points(gm.graph)[0]
    rest = part(gm, [first], cut_points(gm.graph)[-1])
    assert [n.name for n in rest.graph.nodes if n.op == "placeholder"] == [first.name]
    assert first.name not in {str(n.target) for n in rest.graph.nodes if n.op != "placeholder"}
