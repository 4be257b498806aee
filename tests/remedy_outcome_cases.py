"""Errors of pruned graphs, metrics and searches: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from pruning_nets import PRUNING_NETS
from remedy_measure_cases import measured
from remedy_subjects import Case, config, each
from remedy_zoo_cases import extra_holds
from rich.console import Console
from torch import Tensor

import fxpasses as fx
from fxpasses.cli.folders.folder import DataChoice, ModelChoice
from fxpasses.cli.given import Input, open_both
from fxpasses.cli.pruning.ratio_budget import within_drop
from fxpasses.cli.pruning.steps import Pruning, check_something_went, prune
from fxpasses.cli.static.quantize_model import Settings
from fxpasses.cli.terminal import Terminal
from fxpasses.measure.benchmark import BenchSettings
from fxpasses.measure.metrics import metric_named
from fxpasses.pruning import find_dependencies, removal_of_masks, shrink
from fxpasses.pruning.channels import shrinking
from fxpasses.pruning.channels.channel_plan import Removal
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.scoring import Score
from fxpasses.sensitivity.search.accuracy_search import Goal, Latency, Search

SUMS, CHANNELS, CLI = "fxpasses/measure/torchmetrics_sums.py", "fxpasses/pruning/channels", "fxpasses/cli"
LOGITS = torch.zeros(1, 3, 2, 2)
_OWN = """
import torch
from torch import nn

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    NET = nn.Sequential(nn.Linear(6, 256), nn.ReLU(), nn.Linear(256, 5)).eval()
    ROWS = torch.randn(64, 6)


def make():
    return NET, ROWS[:2]


def data():
    return [(ROWS, NET(ROWS).detach())]
"""


def quiet() -> Terminal:
    return Terminal(Console(quiet=True), Console(quiet=True))


def opened(folder: Path) -> Input:
    """A model that is right about all its data."""
    (folder / "own.py").write_text(_OWN)
    return open_both(ModelChoice(f"{folder / 'own.py'}:make"), DataChoice(f"{folder / 'own.py'}:data", metric="mse"))


def search_ratio(folder: Path, max_drop: float) -> Any:
    settings = Settings(config(), threads=1)
    return within_drop(folder, opened(folder), Pruning(ratio=0.0, compensate=False), max_drop, settings, quiet())


def prune_by(folder: Path, ratio: float, round_to: int) -> None:
    given, settings = opened(folder), Pruning(ratio=ratio, round_to=round_to, compensate=False)
    graph = fx.capture(given.model.module, given.model.example_inputs())
    check_something_went(prune(graph, given, settings, quiet()), settings)


@cache
def dependencies(name: str) -> Any:
    net = PRUNING_NETS[name]
    return find_dependencies(fx.fuse(fx.capture(net.build(), net.example_inputs())))


def shrunk_wrongly(name: str, *, leaves_out: bool) -> Any:
    """Shrink a graph whose sizes are left as they were: half of its channels, or none of them."""
    found = dependencies(name)
    classes = [] if leaves_out else [group.classes[: len(group.classes) // 2] for group in found.groups]
    with patch.object(shrinking, "fix_sizes", lambda *_: None):
        return shrink(Removal(found, np.sort(np.concatenate([*classes, np.empty(0, np.int64)]))))


def masked(first: int) -> Any:
    """Remove what a mask prunes of a layer whose result is cut into halves: all channels before the first to stay."""
    return removal_of_masks(dependencies("cut"), {"stem": torch.arange(12) >= first})


def without_torchmetrics() -> Any:
    with patch.dict(sys.modules, {"torchmetrics.classification": None}):
        return measured(metric_named("miou"), torch.zeros(1, 2, 2, dtype=torch.int64), LOGITS)


def miou(labels: Tensor, output: Tensor = LOGITS) -> float:
    return measured(metric_named("miou"), labels, output)


def whole_numbers(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


@dataclass
class Losing:
    """Measurements of models of which each loses as much."""

    loses: float
    width: int = 1

    def scores(self, choices: Sequence[Any]) -> list[Score]:
        return [Score(500, 90.0 - self.loses, 0.3, 100 - self.loses, 30.0) for _ in choices]

    def noise(self, config: QuantConfig, units: Sequence[Any]) -> list[float]:
        return [1.0 for _ in units]

    def latency(self, trial: Any) -> Latency:
        return Latency(1.0, 1.0)


def searched(max_drop: float) -> Any:
    search = Search(Score(500, 90.0, 0.3, None, None), (), Losing(5.0), Goal(max_drop))
    return search.run(QuantConfig(observer="histogram"))


PRUNED_CASES: dict[str, Case] = {
    f"{CHANNELS}/mask_removal.py:removal_of_masks": (
        lambda _: masked(7),
        "keep one of them",
        lambda _: masked(5),
    ),
    f"{CHANNELS}/shrinking.py:_run_or_raise": (
        lambda _: shrunk_wrongly("fused_attention", leaves_out=False),
        "leave the layers around that node out: layers=[...]",
        lambda _: shrunk_wrongly("fused_attention", leaves_out=True),
    ),
    f"{CHANNELS}/shrinking.py:_require_equal": (
        lambda _: shrunk_wrongly("scaled_by_width", leaves_out=False),
        "leave these layers out: layers=[...]",
        lambda _: shrunk_wrongly("scaled_by_width", leaves_out=True),
    ),
    f"{CLI}/pruning/ratio_budget.py:within_drop": (
        lambda folder: search_ratio(folder, 0.0),
        "allow more with --max-drop",
        lambda folder: search_ratio(folder, 10.0),
    ),
    f"{CLI}/pruning/steps.py:check_something_went": (
        lambda folder: prune_by(folder, 0.1, 256),
        "give a larger --ratio, or --round-to 128",
        lambda folder: each(prune_by, (folder, 0.5, 128), (folder, 0.1, 1)),
    ),
}


METRIC_CASES: dict[str, Case] = {
    f"{SUMS}:pixel_classes": (
        lambda _: miou(torch.zeros(1, 2, 2)),
        "give whole numbers as labels",
        lambda _: miou(whole_numbers(1, 2, 2)),
    ),
    f"{SUMS}:pixel_classes#2": (
        lambda _: miou(whole_numbers(1, 8), torch.zeros(1, 3, 4)),
        "give labels of the output's size",
        lambda _: miou(whole_numbers(1, 4), torch.zeros(1, 3, 4)),
    ),
    f"{SUMS}:_classification": (
        lambda _: measured(metric_named("f1"), whole_numbers(2, 2, 2), torch.eye(2)),
        "give labels [B] or [B, classes] for outputs [B, classes]",
        lambda _: [measured(metric_named("f1"), labels, torch.eye(2)) for labels in (whole_numbers(2), torch.eye(2))],
    ),
    f"{SUMS}:value": (
        lambda _: miou(torch.full((1, 2, 2), 255)),
        "check the labels",
        lambda _: miou(whole_numbers(1, 2, 2)),
    ),
    f"{SUMS}:torchmetrics_part": (
        lambda _: without_torchmetrics(),
        'pip install "fxpasses[metrics]"',
        lambda _: (extra_holds("metrics", "torchmetrics"), miou(whole_numbers(1, 2, 2))),
    ),
    "fxpasses/measure/benchmark.py:__post_init__#2": (
        lambda _: BenchSettings(min_seconds=5.0, max_seconds=1.0),
        "raise max_seconds",
        lambda _: BenchSettings(min_seconds=5.0, max_seconds=6.0),
    ),
    "fxpasses/sensitivity/search/accuracy_search.py:run": (
        lambda _: searched(1.0),
        "allow more, `max_drop=5.00`",
        lambda _: searched(5.0),
    ),
}


OUTCOME_CASES = PRUNED_CASES | METRIC_CASES
