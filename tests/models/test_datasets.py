"""Data by name: the source that each spec opens, and the errors for wrong specs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.models.zoo import load_model

GREY_8 = ModelInput((1, 8, 8))
PUBLISHED = [
    ("cifar_resnet20", "cifar10_resnet20", "cifar10", 91.5),
    ("lenet", "mnist_lenet", "mnist", 98.95),
    ("torchvision/squeezenet1_1", "imagenet_squeezenet1_1", "imagenet", 65.6),
]


def test_digits_are_embedded() -> None:
    data = open_dataset("digits", GREY_8)
    assert (data.num_classes, data.calibration_images, data.evaluation_images) == (10, 1438, 359)
    batch = next(data.calibration(64, batch_size=64))
    assert batch.shape == (64, 1, 8, 8)
    assert (float(batch.min()), float(batch.max())) == (0.0, 1.0)


def test_random_noise_has_the_shape_asked_for() -> None:
    data = open_dataset("random=3x5x6", ModelInput((3, 5, 6)))
    images, labels = next(data.evaluation(4))
    assert (images.shape, labels, data.num_classes) == ((4, 3, 5, 6), None, None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "did you mean 'digits'"),
        ("cifar=x", "did you mean 'cifar10'"),
        ("qqq", "choose one of.*or path/file.py:factory"),
        ("mnist", "write mnist=DIR, for example mnist=data/mnist"),
        ("random", "write random=SHAPE"),
        ("mnist=", "mnist needs something after the ="),
        ("random=3x224y", "'3x224y' is not a shape"),
        ("random=1x9x9", "its inputs are 1x9x9, the model takes 1x8x8"),
        ("images=no/such/folder", "cannot open the folder no/such/folder.*does not exist"),
        (f"mnist={__file__}", "it is a file"),
    ],
)
def test_a_wrong_spec_is_answered_with_the_fix(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s){message}"):
        open_dataset(spec, GREY_8)


@pytest.mark.parametrize("kind", ["mnist", "fashion", "cifar10", "images", "sst2"])
def test_an_empty_folder_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"the folder .* is empty"):
        open_dataset(f"{kind}={tmp_path}", GREY_8)


def test_data_of_another_size_than_the_model_is_refused() -> None:
    with pytest.raises(InputError, match="its inputs are 1x8x8, the model takes 3x32x32"):
        open_dataset("digits", ModelInput((3, 32, 32)))


def test_a_labels_file_is_for_images_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="digits takes no labels file"):
        open_dataset("digits", GREY_8, labels=tmp_path / "labels.json")


def test_equal_calls_give_equal_tensors() -> None:
    data = open_dataset("digits", GREY_8)
    first, second = (torch.cat(list(data.calibration(50))) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "weights", "folder", "top1"), PUBLISHED, ids=[case[0] for case in PUBLISHED])
def test_float_accuracy_is_the_published_one(
    data_dir: Path, tmp_path: Path, spec: str, weights: str, folder: str, top1: float
) -> None:
    place = data_dir / folder
    if folder == "cifar10":
        subprocess.run([sys.executable, place / "load.py", tmp_path], check=True)
        place = tmp_path
    model = load_model(spec, data_dir / "models" / f"{weights}.pt")
    data = open_dataset(f"{'images' if folder == 'imagenet' else folder}={place}", model)
    # One image more or less is rounding of another machine; a wrong mean or channel order costs points.
    assert evaluate_top1(model.module, data.evaluation()) == pytest.approx(top1, abs=101 / data.evaluation_images)
