"""Errors of the Python calls that do what commands do: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

import torch
from call_folders import float_folder, int8_folder
from remedy_subjects import Case, int8_file, small_net
from torch import nn

import fxpasses
from fxpasses.export import bench

X = torch.randn(2, 3, 8, 8)


def _wide() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 4, 3), nn.Flatten(), nn.Linear(64, 3)).eval()


def _narrow() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Conv2d(2, 4, 3)).eval()


def _labelled() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(X, torch.tensor([0, 1]))]


CALL_CASES: dict[str, Case] = {
    "fxpasses/calls/opened.py:load": (
        lambda folder: fxpasses.load(folder / "absent.pt2"),
        "name a file or folder of fxpasses",
        lambda folder: fxpasses.load(int8_folder(folder / "made")),
    ),
    "fxpasses/calls/opened.py:load#2": (
        lambda folder: fxpasses.load(int8_file(folder).rename(folder / "m.bin")),
        "a file that ends in .pt2, .fxbits, .fxdet, .onnx",
        lambda folder: fxpasses.load((folder / "m.bin").rename(folder / "m.onnx")),
    ),
    "fxpasses/calls/opened.py:model_file": (
        lambda folder: fxpasses.load((float_folder(folder) / "model.fp32.pt2").rename(folder / "other.pt2").parent),
        "make the folder again",
        lambda folder: fxpasses.load(int8_folder(folder)),
    ),
    "fxpasses/calls/pruned_model.py:_chosen": (
        lambda _: fxpasses.prune(_narrow(), X, 0.01),
        "remove more",
        lambda _: fxpasses.prune(_narrow(), X, 0.5),
    ),
    "fxpasses/calls/pruned_model.py:_labelled": (
        lambda _: fxpasses.prune(_wide(), X, 0.5, [X], criterion="taylor"),
        "pass a DataLoader of (images, labels)",
        lambda _: fxpasses.prune(_wide(), X, 0.5, _labelled(), criterion="taylor"),
    ),
    "fxpasses/pruning/masks/data_criteria.py:_cross_entropy": (
        lambda _: fxpasses.prune(_wide(), X, 0.5, [(X, torch.rand(2, 3))], criterion="taylor"),
        "pass the loss of the task",
        lambda _: fxpasses.prune(
            _wide(), X, 0.5, [(X, torch.rand(2, 3))], criterion="taylor", loss=nn.functional.mse_loss
        ),
    ),
    "fxpasses/calls/pruned_model.py:_required": (
        lambda _: fxpasses.prune(_wide(), X, 0.5, criterion="surgeon"),
        "criterion='l1'",
        lambda _: fxpasses.prune(_wide(), X, 0.5, criterion="l1"),
    ),
    "fxpasses/calls/run_report.py:report": (
        lambda _: fxpasses.report(small_net()),  # type: ignore[arg-type]  # what a user may try first
        "name the folder that a command wrote",
        lambda folder: fxpasses.report(int8_folder(folder)),
    ),
    "fxpasses/calls/timed.py:bench": (
        lambda _: bench({}),
        "pass a folder, a file or a model",
        lambda folder: bench({"int8": int8_folder(folder)}, runs=1, max_seconds=1),
    ),
    "fxpasses/calls/timed.py:bench#2": (
        lambda _: bench(small_net()),
        "give example_inputs, too",
        lambda _: bench(small_net(), torch.randn(2, 3), runs=1, max_seconds=1),
    ),
    "fxpasses/calls/timed.py:_runners": (
        lambda folder: bench(folder),
        "name another",
        lambda folder: bench(int8_folder(folder), runs=1, max_seconds=1),
    ),
}
