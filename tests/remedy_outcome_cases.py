"""Errors of what comes out: pruned graphs, metrics, searches, folders; what raises one, and the remedy taken."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from pruning_nets import PRUNING_NETS
from remedy_measure_cases import measured, own_metric
from remedy_subjects import Case, config, each, float_file, small_net
from remedy_subjects import X as ROWS
from remedy_zoo_cases import extra_holds
from rich.console import Console
from tiny_graphs import quantized
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.cli.folders.fitting import _require_decisions, fitted, logits_of
from fxpasses.cli.folders.folder import DataChoice, ModelChoice, model_of
from fxpasses.cli.given import Input, open_both
from fxpasses.cli.precision.lower_model import _require_finite
from fxpasses.cli.precision.methods import Half
from fxpasses.cli.pruning.ratio_budget import within_drop
from fxpasses.cli.pruning.steps import Pruning, check_something_went, prune
from fxpasses.cli.static.quantize_model import Settings
from fxpasses.cli.static.repair_account import _last_images
from fxpasses.cli.terminal import Terminal
from fxpasses.measure.benchmark import BenchSettings
from fxpasses.measure.metrics import metric_named
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.models.zoo import load_model
from fxpasses.pruning import find_dependencies, removal_of_masks, shrink
from fxpasses.pruning.channels import shrinking
from fxpasses.pruning.channels.channel_plan import Removal
from fxpasses.quantization.config import QuantConfig
from fxpasses.reports.view import view
from fxpasses.sensitivity.scoring import Score
from fxpasses.sensitivity.search.accuracy_search import Goal, Latency, Search
from fxpasses.sensitivity.search.recipe_file import read_recipe
from fxpasses.writing.atomic import atomic_write

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


def viewed(folder: Path, port: Callable[[int], int | None]) -> None:
    """View a file while another program listens on a port."""
    with closing(socket.socket()) as other:
        other.bind(("localhost", 0))
        other.listen()
        view(float_file(folder), port(other.getsockname()[1]), browse=False, wait=False).stop()


def written(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("text")


def large(folder: Path) -> Path:
    path = folder / "recipe.toml"
    path.touch()
    with path.open("r+b") as file:
        file.truncate((256 << 20) + 1)  # without a byte on the disk
    return path


def recipe(folder: Path) -> Path:
    (folder / "recipe.toml").write_text("[quantize]\nreestimation = true")
    return folder / "recipe.toml"


def loaded(function: Callable[[Tensor], Tensor]) -> LoadedModel:
    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    return LoadedModel("net", Own().eval(), (3,), UNIT_RANGE, pretrained=True)


def labelled_pixels(metric: Any) -> Any:
    """Labels of pixels for a model of one answer: decisions, or what a metric takes."""
    if metric is None:
        return _require_decisions(whole_numbers(2, 4, 4), (2,), "the data")
    data: Any = SimpleNamespace(name="the data")
    return fitted(LoadedModel("net", small_net(), (3,), UNIT_RANGE, pretrained=True), data, metric)


def changed_weights(folder: Path, changes: bool) -> Any:
    """Load the model of a report whose weights were written again since, or were not."""
    torch.save(load_model("digits_cnn").module.state_dict(), folder / "w.pt")
    choice = ModelChoice("digits_cnn", folder / "w.pt")
    details = dict(choice.details(choice.load()))
    if changes:
        torch.save(load_model("digits_cnn", seed=1).module.state_dict(), folder / "w.pt")
    return model_of({"model_details": details}, folder)


def half(method: str) -> None:
    """Lower a net with a value beyond half precision."""
    first, last = nn.Linear(3, 4), nn.Linear(4, 2)
    nn.init.constant_(first.bias, 1e6)
    nn.init.constant_(last.weight, 1e-6)
    net = nn.Sequential(first, nn.ReLU(), last).eval()
    graph: torch_fx.GraphModule = fx.fuse(fx.capture(net, ROWS))
    lowering = Half(method)
    data: Any = SimpleNamespace(evaluation=lambda *_: iter([(ROWS, None)]))
    given: Any = SimpleNamespace(data=data)
    _require_finite(lowering.lowered(graph), lowering, given)


def explained(batch: Any) -> Tensor:
    data: Any = SimpleNamespace(calibration=lambda images, seed: iter([batch]))
    return _last_images(data, 4, 0)


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
    f"{SUMS}:_segmentation": (
        lambda _: miou(torch.zeros(1, 2, 2)),
        "give whole numbers as labels",
        lambda _: miou(whole_numbers(1, 2, 2)),
    ),
    f"{SUMS}:_segmentation#2": (
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

PLACE_CASES: dict[str, Case] = {
    "fxpasses/reports/view.py:view": (
        lambda folder: viewed(folder, lambda taken: 65536),
        "a number from 1 to 65535",
        lambda folder: viewed(folder, lambda taken: None),
    ),
    "fxpasses/reports/view.py:_port_taken": (
        lambda folder: viewed(folder, lambda taken: taken),
        "choose another `port`, or leave it out to get a free one",
        lambda folder: viewed(folder, lambda taken: None),
    ),
    "fxpasses/writing/atomic.py:_unwritable": (
        lambda folder: written(float_file(folder) / "a.txt"),
        "choose another folder, `out`",
        lambda folder: written(folder / "other" / "a.txt"),
    ),
    "fxpasses/formats/documents.py:read_text#2": (
        lambda folder: read_recipe(large(folder)),
        "name a .toml file",
        lambda folder: read_recipe(recipe(folder)),
    ),
    f"{CLI}/folders/folder.py:model_of": (
        lambda folder: changed_weights(folder, changes=True),
        "make the folder again: fxpasses quantize MODEL --data DATA --out DIR",
        lambda folder: changed_weights(folder, changes=False),
    ),
    f"{CLI}/folders/fitting.py:logits_of#2": (
        lambda _: logits_of(loaded(torch.sum)),
        "return a tensor with values for each input",
        lambda _: logits_of(loaded(lambda x: x.sum(1))),
    ),
    f"{CLI}/folders/fitting.py:_require_decisions": (
        lambda _: labelled_pixels(None),
        "name a metric: --metric miou, map, mse, mae, or path/file.py:function",
        lambda folder: each(
            labelled_pixels, (metric_named("mse"),), (own_metric(folder, _OWN_METRIC),), (metric_named("miou"),)
        ),
    ),
    f"{CLI}/precision/lower_model.py:_require_finite": (
        lambda _: half("fp16"),
        "use --method bf16, which has the range of float32",
        lambda _: half("bf16"),
    ),
    f"{CLI}/static/repair_account.py:_last_images": (
        lambda _: explained((ROWS, ROWS)),
        "leave it out",
        lambda _: quantized("two_inputs"),
    ),
}
_OWN_METRIC = "def score(output, labels):\n    return 1.0\nscore.higher_is_better = False\n"
OUTCOME_CASES = PRUNED_CASES | METRIC_CASES | PLACE_CASES
