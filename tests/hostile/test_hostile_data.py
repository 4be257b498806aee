"""Damaged data sets: read, or refused with the name of the file; no pipe blocks, and no device is read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cli_runs import fxpasses, is_refused
from data_cases import SETS, harm, images

from fxpasses.cli.folders.fitting import fitted
from fxpasses.errors import FxPassesError, InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.zoo import load_model

FEW, ALL = 12, 60


def _read(spec: str, model: LoadedModel) -> str | None:
    """Read all data; return the error if it is refused, or None."""
    try:
        data = fitted(model, open_dataset(spec, model))
        list(data.calibration(data.calibration_images))
        list(data.evaluation())
    except FxPassesError as error:
        return str(error)
    return None


def _harmed(name: str, count: int, tmp_path: Path) -> None:
    make, net = SETS[name]
    model = load_model(net, fresh=True)
    (tmp_path / "good").mkdir()
    assert _read(make(tmp_path / "good"), model) is None
    refused = 0
    for index in range(count):
        folder = tmp_path / str(index)
        folder.mkdir()
        spec = make(folder)
        what = harm(folder, random.Random(index))
        refusal = _read(spec, model)
        assert refusal is None or str(folder) in refusal, what
        refused += refusal is not None
    assert refused > count / 3


@pytest.mark.parametrize("name", SETS)
def test_some_harmed_sets(name: str, tmp_path: Path) -> None:
    _harmed(name, FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_three_hundred_harmed_sets(name: str, tmp_path: Path) -> None:
    _harmed(name, ALL, tmp_path)


def _many_classes(folder: Path) -> str:
    """A folder of twelve classes."""
    spec = images(folder)
    (folder / "labels.json").unlink()
    for part in ("train", "val"):
        for number in range(12):
            (folder / part / f"class{number}").mkdir()
            (folder / part / f"class{number}" / "0.png").write_bytes((folder / part / "cat" / "0.png").read_bytes())
    return spec


@pytest.mark.parametrize("command", ["train", "quantize", "prune", "sensitivity"])
def test_more_classes_than_the_model_has(command: str, tmp_path: Path) -> None:
    """The message has both numbers and the remedy, before anything slow."""
    (tmp_path / "data").mkdir()
    more = {"train": ("--epochs", "1"), "prune": ("--ratio", "0.3")}.get(command, ())
    out = tmp_path / ("w.pt" if command == "train" else "out")
    done = fxpasses(command, "cifar_resnet20", "--data", _many_classes(tmp_path / "data"), *more, "--out", out)
    is_refused(done, "has the label 13")
    assert "10 classes apart, which are 0 to 9" in done.err
    assert "a model of as many classes" in done.err


def test_the_remedy_for_more_classes(tmp_path: Path) -> None:
    """``leave the other classes out of the data``."""
    (tmp_path / "data").mkdir()
    spec = _many_classes(tmp_path / "data")
    for part in ("train", "val"):
        for number in range(12):
            (tmp_path / "data" / part / f"class{number}" / "0.png").unlink()
            (tmp_path / "data" / part / f"class{number}").rmdir()
    model = load_model("cifar_resnet20", fresh=True)
    assert fitted(model, open_dataset(spec, model)).evaluation_images == 4


def test_a_folder_of_nobody() -> None:
    with pytest.raises(InputError, match=r"(?s)images=~nosuchuser/x.*home directory.*write the path out"):
        open_dataset("images=~nosuchuser/x", load_model("cifar_resnet20", fresh=True))
