"""Each layer pruned alone; and the document, table, plots and page of the result."""

from __future__ import annotations

import io
import json

import pytest
import torch
from rich.console import Console
from sensitivity_cases import RATIOS, evaluation, graph, made_prune_document, prune_scorer, scans, unlabelled
from tiny_graphs import captured

from fxpasses.errors import InputError
from fxpasses.measure.model_size import count_macs
from fxpasses.pruning import channel_scores, choose_channels, find_dependencies, shrink
from fxpasses.sensitivity.pages.figures import as_png, as_svg
from fxpasses.sensitivity.pages.prune_document import holds_until
from fxpasses.sensitivity.pages.prune_page import prune_page
from fxpasses.sensitivity.pages.prune_plots import lead_ratio, map_figure, ratio_figure
from fxpasses.sensitivity.pages.prune_table import budget_lines, drop_text, print_prune
from fxpasses.sensitivity.prune import (
    PruneChoice,
    check_ratios,
    prune_targets,
    pruned,
)
from fxpasses.sensitivity.search.ratio_search import largest_ratio


def test_only_the_layer_named_is_pruned_by_its_share() -> None:
    small = pruned(graph(), {"block1.conv1": 0.5}, PruneChoice())
    zeros = {name: float((p == 0).double().mean()) for name, p in small.named_parameters() if p.dim() > 1}
    assert zeros["block1.conv1.weight"] == 0.5
    assert sum(share > 0 for share in zeros.values()) == 1


def test_channels_and_criteria_that_ask_data() -> None:
    choice = PruneChoice(granularity="channel", criterion="taylor")
    small = pruned(graph(), {"widen": 0.5}, choice, evaluation)
    assert int((small.get_parameter("widen.weight").flatten(1) == 0).all(1).sum()) == 5
    with pytest.raises(InputError, match="without data"):
        pruned(graph(), {"widen": 0.5}, choice, unlabelled)


def test_readers_of_a_pruned_channel_read_zero_as_in_a_shrunk_graph() -> None:
    small = pruned(graph(), {"block1.conv1": 0.5}, PruneChoice(granularity="channel"))
    (reader,) = (n for n in small.graph.nodes if n.op == "call_module" and n.target == "block1.conv2")
    seen: list[torch.Tensor] = []
    small.get_submodule("block1.conv2").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    small(evaluation()[0][0])
    assert reader.all_input_nodes and int((seen[0] == 0).all(dim=3).all(dim=2).all(dim=0).sum()) >= 3
    removal = choose_channels(find_dependencies(graph()), 0.5, channel_scores(graph()), layers=["block1.conv1"])
    torch.testing.assert_close(small(evaluation()[0][0]), shrink(removal)(evaluation()[0][0]))


def test_the_answers_are_no_channels_to_prune() -> None:
    everything = [target.path for target in prune_targets(graph())]
    assert [t.path for t in prune_targets(graph(), granularity="channel")] == everything[:-1]
    assert [t.path for t in prune_targets(graph(), [everything[-1]], "channel")] == everything[-1:]


def test_macs_are_those_of_the_report() -> None:
    """Only convolutions and linear layers multiply in this net."""
    ours = sum(target.macs for target in prune_targets(graph()))
    counted = count_macs(graph(), (torch.zeros(1, 1, 8, 8),)).macs
    assert counted is not None
    assert counted == ours


@pytest.mark.parametrize(
    "name", ["conv_transpose2d_bn", "linear_bn1d_over_rows", "shared_conv_and_bn", "conv3d_bn_relu"]
)
def test_macs_of_unusual_layers(name: str) -> None:
    """A layer called twice counts twice; transposed layers by their input; rows of a linear layer all count."""
    gm = captured(name)
    for target in prune_targets(gm):
        calls = [n for n in gm.graph.nodes if n.op == "call_module" and n.target == target.path]
        assert target.macs > 0
        assert target.macs % gm.get_submodule(target.path).weight.numel() == 0  # type: ignore[operator]
        assert len(calls) >= 1


def test_ratios_are_checked_and_ordered() -> None:
    assert check_ratios([0.9, 0.1, 0.9]) == (0.1, 0.9)
    with pytest.raises(InputError, match=r"ratio 1\.5"):
        check_ratios([0.5, 1.5])
    with pytest.raises(InputError, match="no ratios"):
        check_ratios([])


def test_a_layer_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"did you mean .*'block1\.conv1'"):
        prune_targets(graph(), ["block1.conv"])


def test_drops_are_points_of_accuracy() -> None:
    scan = scans()[0]
    expected = {r: prune_scorer().float_score.quality - s.quality for r, s in scan.scores.items()}
    assert scan.drops(prune_scorer().float_score) == expected


def test_the_document_ranks_by_mean_drop_and_shares_add_up() -> None:
    found = json.loads(json.dumps(made_prune_document(), allow_nan=False))
    by_rank = sorted(found["layers"], key=lambda layer: layer["rank"])
    means = [sum(score["drop"] for score in layer["scores"]) for layer in by_rank]
    assert means == sorted(means, reverse=True)
    whole = prune_targets(graph())
    for layer in found["layers"]:
        (target,) = (t for t in whole if t.path == layer["module"])
        assert layer["params_percent"] == pytest.approx(100 * target.params / sum(t.params for t in whole))
        assert layer["macs_percent"] == pytest.approx(100 * target.macs / sum(t.macs for t in whole))
    assert found["ratios"] == list(RATIOS)
    assert lead_ratio(found) == 0.9


def test_holds_until_stops_at_the_first_ratio_that_loses_more() -> None:
    assert holds_until({0.1: 0.0, 0.5: 0.9, 0.7: 1.2, 0.9: 0.5}) == 0.5
    assert holds_until({0.1: 3.0}) == 0.0


def test_the_table_and_what_the_budget_allows() -> None:
    found = made_prune_document()
    search = largest_ratio(lambda ratio: 10 * ratio, 2.0, known={0.1: 3.0, 0.15: 1.0}).to_json()
    paths = [layer["module"] for layer in found["layers"]]
    found["within_budget"] = {
        "max_drop": 2.0,
        "layers": {},
        "operators": {"conv2d": {"layers": paths[:2], **search}, "linear": {"layers": paths[-1:], **search}},
        "net": {"ratios": dict.fromkeys(paths, 0.5), **search},
    }
    first, several, one, net = budget_lines(found)
    assert first == "largest ratios that lose at most 2 points:"
    assert "of all 2 conv2d layers" in several and "does not fall steadily" in several
    assert "of the linear layer" in one
    assert net.strip().startswith("50.0 % of these layers together")
    console = Console(width=120, record=True, file=io.StringIO())
    print_prune(found, console)
    assert all(path in console.export_text(clear=False) for path in paths)
    assert "Points of top-1 lost" in console.export_text()


@pytest.mark.slow
def test_plots_and_page_are_drawn() -> None:
    found = made_prune_document()
    assert as_png(*ratio_figure(found, 0.9)).startswith(b"\x89PNG")
    assert as_svg(*map_figure(found)).startswith("<svg")
    assert prune_page(found).count("<svg") == 2
    one_ratio = prune_page(
        {**found, "ratios": [0.9], "layers": [{**layer, "scores": layer["scores"][1:]} for layer in found["layers"]]}
    )
    assert one_ratio.count("<svg") == 1


def test_drops_as_text() -> None:
    assert (drop_text(0.04), drop_text(12.34), drop_text(-0.2)) == ("0", "12.3", "−0.2")
