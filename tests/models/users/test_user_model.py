"""The caller's own model with example inputs of its own, and batches that fit it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses
from task_nets import task_file as task_file

from fxpasses.cli.folders.folder import ModelChoice
from fxpasses.errors import GraphError, InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.zoo import load_model


@pytest.fixture
def model(task_file: Path) -> LoadedModel:
    return load_model(f"{task_file}:two_inputs")


def test_example_inputs_are_repeated_to_any_batch(model: LoadedModel) -> None:
    assert (model.input_shape, model.further_shapes, model.input_names) == ((4,), ((6,),), ("left", "right"))
    left, right = model.example_inputs(batch=5)
    assert (left.shape, right.shape) == ((5, 4), (5, 6))
    assert torch.equal(left[4], model.examples[0][0])
    assert model.module(left, right).shape == (5, 3)


@pytest.mark.parametrize("factory", ["dicts", "tuples"])
def test_batches_of_several_inputs_are_cut_and_joined(task_file: Path, model: LoadedModel, factory: str) -> None:
    source = open_dataset(f"{task_file}:{factory}", model)
    assert source.calibration_images == 24
    batches = list(source.evaluation(10))
    assert [tuple(x.shape for x in inputs) for inputs, _ in batches] == [((10, 4), (10, 6))] * 2 + [((4, 4), (4, 6))]
    assert all(labels.dtype == torch.int64 for _, labels in batches)
    (left, right), _ = next(iter(open_dataset(f"{task_file}:dicts", model).evaluation(24)))
    again, _ = next(iter(source.evaluation(24)))
    assert torch.equal(again[0], left) and torch.equal(again[1], right)


def test_lists_of_labels_stay_lists_where_a_metric_takes_them(task_file: Path, model: LoadedModel) -> None:
    source = open_dataset(f"{task_file}:words", model)
    with pytest.raises(InputError, match=r"(?s)batch 0 is a tuple.*\(2 tensors\), or \(tensors, labels\).*left, right"):
        list(source.evaluation())
    labels = [labels for _, labels in source.with_any_labels().evaluation(10)]  # type: ignore[attr-defined]  # of UserSource
    assert [len(each) for each in labels] == [10, 10, 4]
    assert labels[0][0].startswith("label ")


def test_an_input_that_is_missing_is_told(task_file: Path, model: LoadedModel) -> None:
    with pytest.raises(InputError, match=r"(?s)batch 0 is a dict of left, labels.*or a dict of left, right"):
        list(open_dataset(f"{task_file}:incomplete", model).evaluation())


def test_names_may_come_in_another_order(task_file: Path, model: LoadedModel) -> None:
    """A tokenizer gives ``token_type_ids`` before ``attention_mask``, which ``forward`` takes the other way round."""
    swapped = load_model(f"{task_file}:swapped")
    assert swapped.input_names == model.input_names
    assert [x.shape for x in swapped.examples] == [x.shape for x in model.examples]


def test_other_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n\ndef factory():\n    return torch.nn.Linear(2, 3), {'features': torch.zeros(1, 2)}\n"
    )
    with pytest.raises(InputError, match=r"(?s)inputs features.*parameters of Linear\.forward are input.*give all of"):
        load_model(f"{tmp_path / 'net.py'}:factory")


def test_dicts_suit_a_model_whose_example_inputs_are_a_tuple(tmp_path: Path) -> None:
    """Names are those of ``forward``; a single input may have any name, and labels one of two."""
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\nX, Y = torch.randn(4, 2), torch.arange(4) % 3\n\n"
        "def two():\n    return nn.Bilinear(2, 2, 3), (X, X)\n\n"
        "def one():\n    return nn.Linear(2, 3), X\n\n"
        "def pairs():\n    return [{'input2': X, 'label': Y, 'input1': 2 * X, 'index': Y}]\n\n"
        "def images():\n    return [{'pixel_values': X, 'labels': Y}]\n"
    )
    file = tmp_path / "net.py"
    ((first, second), labels) = next(iter(open_dataset(f"{file}:pairs", load_model(f"{file}:two")).evaluation(4)))
    assert torch.equal(first, 2 * second) and labels.tolist() == [0, 1, 2, 0]
    x, labels = next(iter(open_dataset(f"{file}:images", load_model(f"{file}:one")).evaluation(4)))
    assert x.shape == (4, 2) and labels.tolist() == [0, 1, 2, 0]


def test_examples_of_different_batches_do_not_run(task_file: Path) -> None:
    with pytest.raises(GraphError, match=r"(?s)does not run on the example inputs \[\(2, 4\), \(3, 6\)\]"):
        ModelChoice(f"{task_file}:uneven").load()


def test_an_example_without_samples_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n\ndef factory():\n    return torch.nn.Linear(2, 3), torch.zeros(0, 2)\n"
    )
    with pytest.raises(
        InputError, match=r"(?s)example input 0 has the shape \[0, 2\].*give example inputs of a whole batch"
    ):
        load_model(f"{tmp_path / 'net.py'}:factory")


@pytest.mark.slow
def test_two_inputs_go_all_the_way(task_file: Path, tmp_path: Path) -> None:
    specs = (f"{task_file}:two_inputs", "--data", f"{task_file}:dicts")
    done = fxpasses("quantize", *specs, "--calib", "16", "--threads", "1", "--no-bench", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["variants"][1]["accuracy"]["top1"] is not None
    assert [each["name"] for each in report["model_details"]["inputs"]] == ["left", "right"]
    assert fxpasses("parity", tmp_path / "out").code == 0
    assert fxpasses("bench", tmp_path / "out", "--runs", "5").code == 0
