"""Sentences as rows of hashed tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.data.sentences import tokens_of
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput
from fxpasses.models.nets.text_bag import VOCABULARY
from fxpasses.models.zoo import load_model


def write(folder: Path, train: str = "good film\t1\nbad film\t0\n", dev: str = "a bad one\t0\n") -> None:
    (folder / "train.tsv").write_text(train)
    (folder / "dev.tsv").write_text(dev)


def test_sentences_become_rows_of_one_length(tmp_path: Path) -> None:
    write(tmp_path)
    model = load_model("text_bag")
    data = open_dataset(f"sst2={tmp_path}", model)
    assert (data.num_classes, data.calibration_images, data.evaluation_images) == (2, 2, 1)
    tokens, labels = next(data.evaluation())
    assert (tokens.shape, tokens.dtype) == ((1, 48), torch.int64)
    assert labels is not None
    assert labels.tolist() == [0]
    assert model.module(tokens).shape == (1, 2)


def test_a_word_has_the_same_token_everywhere() -> None:
    one, two = tokens_of("Bad film", 4), tokens_of("film bad or so long", 4)
    assert (one[0], one[1]) == (two[1], two[0])
    assert one[2:] == [0, 0]
    assert all(0 < token < VOCABULARY for token in two)
    assert len(two) == 4


@pytest.mark.parametrize(
    ("train", "message"),
    [("", "it is empty"), ("good\t1\nno label\n", "line 2 is not"), ("sentence\tlabel\n", "line 1 is not")],
)
def test_an_unreadable_file_is_named(tmp_path: Path, train: str, message: str) -> None:
    write(tmp_path, train)
    with pytest.raises(InputError, match=f"(?s)train.tsv.*{message}"):
        open_dataset(f"sst2={tmp_path}", ModelInput((48,)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("good\t1\n")
    with pytest.raises(InputError, match=r"cannot open .*dev.tsv"):
        open_dataset(f"sst2={tmp_path}", ModelInput((48,)))


def test_a_model_for_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(InputError, match="the model takes 3x32x32"):
        open_dataset(f"sst2={tmp_path}", ModelInput((3, 32, 32)))
