"""``fxpasses train``: the effects of its options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_runs import fxpasses

from fxpasses.cli.jobs.training_data import training_batches
from fxpasses.errors import InputError
from fxpasses.models.data.array_split import ArraySplit
from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.zoo import load_model


def test_augmented_batches_hold_moved_images() -> None:
    model = load_model("digits_cnn")
    data = open_dataset("digits", model)
    plain, labels = next(training_batches(data, 16, 0))
    moved, same_labels = next(training_batches(data, 16, 0, augment=True))
    again, _ = next(training_batches(data, 16, 0, augment=True))
    assert torch.equal(labels, same_labels) and torch.equal(moved, again) and not torch.equal(plain, moved)
    assert plain.shape == moved.shape and moved.is_contiguous(memory_format=torch.channels_last)


def test_text_is_not_augmented() -> None:
    words = ArraySplit(torch.zeros(4, 16, dtype=torch.long), torch.zeros(4, dtype=torch.long))
    text = SplitSource("words", words, words, (16,), None, 2)
    with pytest.raises(InputError, match="cannot augment words"):
        next(training_batches(text, 4, 0, augment=True))


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "weights.safetensors"
    options = ("--epochs", "1", "--threads", "1", "--augment", "--bf16", "--optimizer", "sgd", "--lr", "0.05")
    done = fxpasses("train", "digits_cnn", "--data", "digits", "--out", out, *options, "--json", "-")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["augmented"] and told["top1"] > 15  # digits shifted by half their size, but above chance
    assert load_model("digits_cnn", out).pretrained
