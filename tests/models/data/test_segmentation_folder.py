"""``segmentation=DIR``: images and masks of one size, scaled alike, and refused where they do not belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fxpasses.errors import InputError
from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput

MODEL = ModelInput((3, 6, 4))


def write_pair(folder: Path, name: str, classes: np.ndarray) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    pixels = np.repeat((classes * 40)[:, :, None], 3, 2).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
    Image.fromarray(classes.astype(np.uint8)).save(folder / "masks" / f"{name}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    classes = np.arange(24).reshape(6, 4) % 3
    classes[0, 0] = 255
    for part in ("train", "val"):
        write_pair(tmp_path / part, "a", classes)
        write_pair(tmp_path / part, "b", np.kron(classes, np.ones((2, 2))))  # twice the size
    return tmp_path


def test_masks_follow_their_images(folder: Path) -> None:
    source = open_dataset(f"segmentation={folder}", MODEL)
    assert (source.calibration_images, source.evaluation_images) == (2, 2)
    ((inputs, labels),) = source.evaluation()
    assert (inputs.shape, inputs.dtype, labels.shape, labels.dtype) == (
        *(torch.Size([2, 3, 6, 4]), torch.float32),
        *(torch.Size([2, 6, 4]), torch.int64),
    )
    expected = torch.arange(24).view(6, 4) % 3
    expected[0, 0] = 255
    assert torch.equal(labels[0], expected) and torch.equal(labels[1], expected)
    assert torch.equal(inputs[0], (expected * 40 % 256 / 255).expand(3, 6, 4).float())


def test_it_can_be_trained_on(folder: Path) -> None:
    source = open_dataset(f"segmentation={folder}", MODEL)
    assert isinstance(source, SplitSource)
    assert [labels.shape for _, labels in source.training_batches(1)] == [torch.Size([1, 6, 4])] * 2


def no_masks(folder: Path) -> None:
    (folder / "val" / "masks").rename(folder / "elsewhere")


def a_missing_mask(folder: Path) -> None:
    (folder / "val" / "masks" / "b.png").unlink()


def no_images(folder: Path) -> None:
    for image in (folder / "train" / "images").iterdir():
        image.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_masks, r"(?s)has no folder .*val/masks.*lay it out as train/images"),
        (a_missing_mask, r"(?s)b.png has no mask.*there is no .*val/masks/b.png"),
        (no_images, r"train/images has no images"),
    ],
)
def test_what_is_missing_is_named_at_the_door(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=message):
        open_dataset(f"segmentation={folder}", MODEL)


def test_a_model_for_vectors_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="images have 1 or 3 channels, the model takes 5"):
        open_dataset(f"segmentation={folder}", ModelInput((5,)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (4, 6)), r"(?s)a.png is no mask.*its mode is RGB"),
        (Image.new("L", (5, 6)), r"(?s)does not fit its image.*it is 5x6, its image a.png 4x6"),
    ],
)
def test_masks_that_are_none(folder: Path, image: Image.Image, message: str) -> None:
    image.save(folder / "val" / "masks" / "a.png")
    with pytest.raises(InputError, match=message):
        list(open_dataset(f"segmentation={folder}", MODEL).evaluation())


def test_a_damaged_mask_is_named(folder: Path) -> None:
    (folder / "val" / "masks" / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot read the mask .*val/masks/a.png"):
        list(open_dataset(f"segmentation={folder}", MODEL).evaluation())
