"""Alerts come before everything else, on the page and in the terminal, each with a remedy."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from stub_runners import sample_parity, sample_report, sample_variant

from fxpasses.reports.alerts import alerts, broken_promises
from fxpasses.reports.console import print_report
from fxpasses.reports.html.page import render_html

BROKEN = sample_parity(max_lsb=3, max_lsb_at_any_node=2, first_divergence="add (torch)")


def pruned(q75: float, *, round_to: int = 1, granularity: str = "channel") -> dict[str, Any]:
    size = {"params": 10, "nonzero_params": 10, "sparsity": 0.0, "macs": 10, "size_bytes": 40, "compressed_bytes": 30}
    return {
        "criterion": "l1", "granularity": granularity, "ratio": 0.5, "budget": None, "scope": "layer",
        "round_to": round_to, "keep_joined": False, "through_layer_norm": False, "dense": size, "pruned": size,
        "speedup_vs_dense": {"onnxruntime int8": {"median": 0.8, "q25": 0.75, "q75": q75}}, "remark": None,
    }  # fmt: skip


def test_nothing_is_wrong() -> None:
    assert alerts(sample_report()) == []
    assert alerts(sample_report(parity=None)) == []
    assert "alerts" not in render_html(sample_report()).split("</style>")[1]


def test_runtimes_that_differ() -> None:
    (alert,) = alerts(sample_report(parity=BROKEN))
    assert "a node differs by 2 LSB, 1 are promised; the first that differs is add (torch)" in alert
    assert "--keep-float" in alert


def test_an_exact_recipe_is_held_to_its_promise() -> None:
    one = sample_parity(max_lsb=0, max_lsb_at_any_node=1, first_divergence="add (torch)")
    assert broken_promises(sample_report(parity=one)) == []
    exact = sample_report(parity=one)
    exact["recipe"] = {**exact["recipe"], "exact": True}
    assert len(broken_promises(exact)) == 1


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (pruned(0.9), "--round-to auto"),
        (pruned(0.9, round_to=8), "--budget latency=0.8"),
        (pruned(0.9, granularity="weight"), "--granularity channel"),
    ],
)
def test_slower_than_dense(found: dict[str, Any], remedy: str) -> None:
    (alert,) = alerts(sample_report(pruning=found))
    assert alert.startswith("onnxruntime int8 takes 1.25 times as long as the dense model") and remedy in alert


def test_within_noise_is_not_slower() -> None:
    assert alerts(sample_report(pruning=pruned(1.02))) == []


@pytest.mark.parametrize(
    ("top1", "words"),
    [(60.0, "pruning cost 31.5 points of top-1: train it with fxpasses prune"), (90.0, "")],
)
def test_pruning_that_cost_accuracy(top1: float, words: str) -> None:
    pair = [
        sample_variant("torch", "fp32", name="dense torch fp32"),
        sample_variant("torch", "fp32", accuracy={"top1": top1, "images": 10}),
    ]
    found = alerts(sample_report(variants=pair, pruning={**pruned(1.5), "speedup_vs_dense": {}}))
    assert [alert[: len(words)] for alert in found] == ([words] if words else [])


def test_said_first() -> None:
    report = sample_report(parity=BROKEN)
    console = Console(file=io.StringIO(), width=300)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[1].startswith("WRONG   torch and onnxruntime differ")
    page = render_html(report)
    assert page.index("torch and onnxruntime differ: a node") < page.index("SQNR")
