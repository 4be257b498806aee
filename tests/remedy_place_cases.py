"""Errors of folders, ports and commands: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from remedy_measure_cases import own_metric
from remedy_subjects import Case, each, float_file, small_net
from remedy_subjects import X as ROWS
from tiny_graphs import quantized
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.cli.folders.fitting import _require_decisions, fitted, logits_of
from fxpasses.cli.folders.folder import ModelChoice, model_of
from fxpasses.cli.precision.lower_model import _require_finite
from fxpasses.cli.precision.methods import Half
from fxpasses.cli.static.repair_account import _last_images
from fxpasses.measure.metrics import metric_named
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.models.zoo import load_model
from fxpasses.reports.view import view
from fxpasses.sensitivity.search.recipe_file import read_recipe
from fxpasses.writing.atomic import atomic_write

CLI = "fxpasses/cli"


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
        return _require_decisions(torch.zeros(2, 4, 4, dtype=torch.int64), (2,), "the data")
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
    _require_finite(lowering.lowered(graph), graph, lowering, given)


def explained(batch: Any) -> Tensor:
    data: Any = SimpleNamespace(calibration=lambda images, seed: iter([batch]))
    return _last_images(data, 4, 0)


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
