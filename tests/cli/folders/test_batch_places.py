"""Models whose batch is not dimension 0, through the command line: the batch is found, and data is split along it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_runs import fxpasses
from torch import Tensor, nn

from fxpasses.cli.folders.batch_places import PlacedData, placed_data, with_batch_dims
from fxpasses.errors import InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import UNIT_RANGE, ModelInput

STEPS, SAMPLES, FEATURES = 5, 3, 6
"""Sizes of a time-first batch: one sample is ``[5, 6]``."""


class TimeFirst(nn.Module):
    """A recurrent net of ``[T, B, C]``, with a state ``[layers, B, H]``, that knows its number of steps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.cell, self.head = nn.Linear(FEATURES, 8), nn.GRU(8, 4), nn.Linear(4, 3)
        self.steps = nn.Parameter(torch.zeros(STEPS, 1, 8))

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        out: Tensor = self.head(self.cell(torch.relu(self.first(x) + self.steps), state)[0])
        return out


def loaded(module: nn.Module, *examples: Tensor) -> LoadedModel:
    shape = tuple(examples[0].shape[1:])
    return LoadedModel("net", module.eval(), shape, UNIT_RANGE, pretrained=True, examples=examples)


def time_first() -> LoadedModel:
    return with_batch_dims(loaded(TimeFirst(), torch.randn(STEPS, SAMPLES, FEATURES), torch.randn(1, SAMPLES, 4)))


def test_the_batch_of_inputs_and_outputs() -> None:
    model = time_first()
    assert (model.batch_dims, model.output_dims) == ((1, 1), (1,))
    assert (model.input_shape, model.further_shapes) == ((STEPS, FEATURES), ((1, 4),))
    assert [x.shape for x in model.example_inputs(7)] == [(STEPS, 7, FEATURES), (1, 7, 4)]


def test_a_batch_in_front_changes_nothing() -> None:
    plain = loaded(nn.Linear(FEATURES, 3), torch.randn(SAMPLES, FEATURES))
    found = with_batch_dims(plain)
    assert (found.batch_dims, found.output_dims, found.input_shape) == ((), (0,), (FEATURES,))


class Scaled(nn.Module):
    def forward(self, x: Tensor, factor: Tensor) -> Tensor:
        return x * factor.sum()


def test_an_input_without_samples_is_refused() -> None:
    with pytest.raises(InputError, match=r"(?s)example input 1 has the shape \[4\].*make a constant of it inside"):
        with_batch_dims(loaded(Scaled(), torch.randn(SAMPLES, 2), torch.randn(4)))


def test_batches_have_the_layout_of_the_model() -> None:
    given = ModelInput((STEPS, FEATURES), batch_dims=(1,))
    data = placed_data(open_dataset(f"random={STEPS}x{FEATURES}", given), given)
    assert isinstance(data, PlacedData)
    batch = next(iter(data.calibration(4, 2)))
    inputs, labels = next(iter(data.evaluation(3)))
    assert (batch.shape, inputs.shape, labels) == ((STEPS, 2, FEATURES), (STEPS, 3, FEATURES), None)
    assert batch.is_contiguous()
    plain = open_dataset(f"random={STEPS}x{FEATURES}", given)
    assert placed_data(plain, ModelInput((STEPS, FEATURES))) is plain
    assert torch.equal(batch, next(iter(plain.calibration(4, 2))).movedim(0, 1))


FILE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.cell, self.head = nn.Linear(6, 8), nn.GRU(8, 4), nn.Linear(4, 3)
        self.steps = nn.Parameter(torch.zeros(5, 1, 8))

    def forward(self, x):
        return self.head(self.cell(torch.relu(self.first(x) + self.steps))[0])


def factory():
    torch.manual_seed(0)
    return Net(), torch.randn(5, 3, 6)


class Columns(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.head(torch.relu(self.first(x.t()))).t()


def columns():
    torch.manual_seed(0)
    return Columns(), torch.randn(6, 4)


def batches_of_columns():
    return [torch.randn(6, 5) for _ in range(2)]


def batches():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, 4, 6, generator=generator) for _ in range(3)]
"""


def document(*arguments: str | Path) -> Any:
    """The JSON document of a command, which must succeed."""
    run = fxpasses(*arguments, "--json", "-")
    assert run.code == 0, run.err
    return json.loads(run.out)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    path = tmp_path_factory.mktemp("time_first") / "net.py"
    path.write_text(FILE)
    return f"{path}:factory", "--data", f"{path}:batches"


@pytest.mark.parametrize(
    "method", ["static", *(pytest.param(method, marks=pytest.mark.slow) for method in ("dynamic", "fp16"))]
)
def test_quantize_counts_and_splits_samples(method: str, sources: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--observer", "minmax", "--no-equalize", "--no-narrow-ranges") if method == "static" else ()
    report = document("quantize", *sources, *options, "--method", method, "--out", out, "--no-bench")
    accuracies = [variant["accuracy"] for variant in report["variants"]]
    assert [accuracy["images"] for accuracy in accuracies] == [12] * len(accuracies)
    assert report["model_details"]["inputs"][0]["batch_dim"] == 1
    assert report["model_details"]["inputs"][0]["shape"] == [5, 6]
    if method == "static":
        again: Any = document("parity", out)
        assert again["max_lsb_at_any_node"] == 0 and again["images"] == 12


@pytest.mark.slow
def test_sensitivity_measures_each_layer(sources: tuple[str, ...], tmp_path: Path) -> None:
    found = document("sensitivity", *sources, "--observer", "minmax", "--out", tmp_path / "s")
    assert found["node_images"] == 12 and len(found["layers"]) >= 2


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of torch 2.11's own reader
def test_prune_saves_a_program_with_the_batch_where_it_is(sources: tuple[str, ...], tmp_path: Path) -> None:
    file = sources[0].rpartition(":")[0]
    command = (f"{file}:columns", "--data", f"{file}:batches_of_columns", "--ratio", "0.3", "--round-to", "1")
    report = document("prune", *command, "--no-bench", "--out", tmp_path / "out")
    assert report["variants"][0]["accuracy"]["images"] == 10
    assert torch.export.load(tmp_path / "out" / "model.fp32.pt2").module()(torch.randn(6, 9)).shape == (3, 9)
