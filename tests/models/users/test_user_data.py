"""The caller's own batches."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput
from fxpasses.models.users.user_batches import BatchRules

MODEL = ModelInput((3,))
FACTORIES = """
import torch
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput

def rows(first, count):
    return torch.arange(first, first + count).float().view(-1, 1).expand(-1, 3)

def generator():
    yield rows(0, 4)
    yield rows(4, 3)

def labelled():
    return [(rows(0, 4), torch.arange(4)), [rows(4, 3), torch.arange(4, 7)]]

def source():
    return open_dataset("digits", ModelInput((1, 8, 8)))

def number():
    return 7

def empty():
    return []

def strings():
    return ["abc"]

def wrong_shape():
    return [torch.zeros(2, 3), torch.zeros(2, 4)]

def breaks():
    yield torch.zeros(2, 3)
    raise OSError("disk gone")
"""


def data(tmp_path: Path, factory: str) -> DataSource:
    path = tmp_path / "own.py"
    path.write_text(FACTORIES)
    return open_dataset(f"{path}:{factory}", MODEL)


@pytest.mark.parametrize("factory", ["generator", "labelled"])
def test_batches_are_cut_and_joined_and_come_again(tmp_path: Path, factory: str) -> None:
    source = data(tmp_path, factory)
    assert isinstance(source, DataSource)
    assert (source.calibration_images, source.evaluation_images) == (7, 7)
    for _ in range(2):
        assert [batch[:, 0].tolist() for batch in source.calibration(5, batch_size=3)] == [[0, 1, 2], [3, 4]]
        assert [len(inputs) for inputs, _ in source.evaluation(batch_size=5)] == [5, 2]


def test_labels_stay_with_their_inputs(tmp_path: Path) -> None:
    for inputs, labels in data(tmp_path, "labelled").evaluation(3, limit=5):
        assert labels is not None
        assert torch.equal(inputs[:, 0].long(), labels)
    assert [labels for _, labels in data(tmp_path, "generator").evaluation()] == [None]


def test_a_whole_source_is_taken_as_it_is(tmp_path: Path) -> None:
    assert data(tmp_path, "source").name == "digits"


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("empty", "the factory gave no batch"),
        ("strings", r"batch 0 is a str"),
        ("wrong_shape", r"(?s)batch 1 has the shape 2x4.*the model takes Bx3"),
        ("breaks", r"(?s)failed at batch 1.*disk gone"),
    ],
)
def test_unusable_batches_are_named(tmp_path: Path, factory: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(data(tmp_path, factory).evaluation())


def test_what_is_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own.py:number gave a int"):
        data(tmp_path, "number")


def test_more_images_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="generator has only 7"):
        data(tmp_path, "generator").calibration(8)


def test_nested_batches_are_refused_with_a_remedy_that_helps() -> None:
    rules = BatchRules("the data", (3,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested tensors are a prototype
        batch = torch.nested.nested_tensor([torch.ones(3), torch.zeros(3)])
    with pytest.raises(InputError, match=r"(?s)is nested.*torch\.nested\.to_padded_tensor\(batch, 0\.0\)"):
        rules.checked(batch, 0)
    assert rules.checked(torch.nested.to_padded_tensor(batch, 0.0), 0)[0].shape == (2, 3)
