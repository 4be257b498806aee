"""Recovery after pruning: the images used for each step, and that good statistics are kept."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses
from rich.console import Console

import fxpasses as fx
from fxpasses.cli.pruning.recovery import PLAIN, recover, statistics_batches, statistics_split
from fxpasses.cli.pruning.steps import Pruned, Pruning
from fxpasses.cli.terminal import Terminal
from fxpasses.models.datasets import open_dataset
from fxpasses.models.training.augmentation import augmentation_of
from fxpasses.models.zoo import load_model


def silent() -> Terminal:
    return Terminal(Console(file=io.StringIO()), Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("available", "split"),
    [(50_000, (256, 1024)), (1000, (192, 808)), (320, (64, 256)), (319, (319, 319)), (1, (1, 1))],
)
def test_statistics_are_measured_on_other_images(available: int, split: tuple[int, int]) -> None:
    assert statistics_split(available) == split


def test_the_batches_go_on_where_the_others_end() -> None:
    data = open_dataset("digits", load_model("digits_cnn"))
    everything = torch.cat(list(data.calibration(300, 64, 3)))
    parts = [torch.cat(list(statistics_batches(data, *ends, None, 3))) for ends in ((0, 128), (128, 300))]
    assert torch.equal(torch.cat(parts), everything)
    moved = torch.cat(list(statistics_batches(data, 128, 300, augmentation_of(data), 3)))
    assert moved.shape == parts[1].shape and not torch.equal(moved, parts[1])


def test_what_was_not_pruned_keeps_its_statistics() -> None:
    model = load_model("digits_cnn")
    data = open_dataset("digits", model)
    graph = fx.capture(model.module, model.example_inputs())
    dense = fx.fuse(graph)
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    pruned = Pruned(graph)
    recover(pruned, dense, data, Pruning(ratio=0.0), silent())
    told = pruned.account["batch_norm_statistics"]
    assert bool(pruned.account["batch_norms_reestimated"]) == told["taken_again"]
    assert told["of"] == "kept" and not told["taken_again"]
    assert told["distance_to_dense"]["kept"] < 1e-6 < told["distance_to_dense"][PLAIN]
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())
    recover(pruned, dense, data, Pruning(ratio=0.0, keep_statistics=True), silent())
    assert pruned.account["batch_norm_statistics"] is told


@pytest.mark.slow
def test_fine_tuning_in_bfloat16_leaves_layouts_and_types_as_they_were() -> None:
    model = load_model("digits_cnn")
    data = open_dataset("digits", model)
    graph = fx.capture(model.module, model.example_inputs())
    dense, pruned = fx.fuse(graph), Pruned(graph)
    recover(pruned, dense, data, Pruning(ratio=0.0, epochs=1, distill=True, bf16=True), silent())
    assert pruned.account["fine_tuning"]["bf16"]
    for network in (graph, dense):
        assert all(p.dtype is torch.float32 and p.is_contiguous() for p in network.parameters())


REGRESSOR = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Linear(4, 32), nn.Linear(6, 32)
        self.middle, self.head = nn.Linear(32, 32), nn.Linear(32, 1)

    def forward(self, left, right):
        y = self.middle((self.left(left) + self.right(right)).relu()).relu()
        return {"features": y, "value": self.head(y)}

def net():
    return Net(), (torch.randn(2, 4), torch.randn(2, 6))

def data():
    torch.manual_seed(1)
    for _ in range(40):
        left, right = torch.randn(16, 4), torch.randn(16, 6)
        yield (left, right), (left[:, :1] - right[:, :1]).tanh()
"""


def test_a_regressor_of_two_inputs_is_scored_and_fine_tuned_by_its_metric(tmp_path: Path) -> None:
    """Its labels were refused as classes before."""
    file = tmp_path / "net.py"
    file.write_text(REGRESSOR)
    how = ("--data", f"{file}:data", "--metric", "mse@value", "--criterion", "taylor", "--ratio", "0.5", "--no-bench")
    errors = dict[str, float]()
    for name, further in (("pruned", ()), ("tuned", ("--fine-tune", "3", "--lr", "0.05"))):
        done = fxpasses("prune", f"{file}:net", *how, *further, "--out", tmp_path / name)
        assert done.code == 0, done.err
        report = json.loads((tmp_path / name / "report.json").read_text())
        errors |= {f"{name} {v['name']}": v["accuracy"]["metric"]["value"] for v in report["variants"]}
    assert report["pruning"]["fine_tuning"]["distilled"] is False
    assert errors["tuned onnxruntime fp32"] < errors["pruned onnxruntime fp32"] / 2
