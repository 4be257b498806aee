"""Uploaded images give the same inputs as in the training pipeline, bit for bit."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fxpasses.layouts.deployed_model import ImageInput
from fxpasses.models.data.image_folder import read_image
from fxpasses.models.model_input import IMAGENET, Preprocessing
from fxpasses.serving.inference.images import image_array
from fxpasses.serving.inference.refusal import Refusal

ONE = Preprocessing((0.1307,), (0.3081,))


def written(folder: Path, mode: str, size: tuple[int, int], kind: str) -> Path:
    shape = (size[1], size[0], len(mode)) if mode in ("RGB", "RGBA") else (size[1], size[0])
    path = folder / f"image.{kind.lower()}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8), mode).save(path, kind)
    return path


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("size", [(9, 12), (40, 25), (7, 100)], ids=["its size", "larger", "narrow"])
@pytest.mark.parametrize(
    ("mode", "kind", "shape", "preprocessing"),
    [
        ("RGB", "PNG", (3, 12, 9), IMAGENET),
        ("RGB", "JPEG", (3, 12, 9), IMAGENET),
        ("RGBA", "PNG", (3, 12, 9), IMAGENET),
        ("L", "PNG", (1, 12, 9), ONE),
        ("RGB", "WEBP", (1, 12, 9), ONE),
    ],
)
def test_as_in_training(
    tmp_path: Path,
    mode: str,
    kind: str,
    shape: tuple[int, int, int],
    preprocessing: Preprocessing,
    size: tuple[int, int],
    crop: bool,
) -> None:
    path = written(tmp_path, mode, size, kind)
    expected = preprocessing(read_image(path, shape, crop=crop).unsqueeze(0))
    given = ImageInput(shape, preprocessing.mean, preprocessing.std, crop)
    found = image_array(path.read_bytes(), given, 100_000)
    assert found.dtype == np.float32 and np.array_equal(found, expected.numpy())


def test_every_value_of_a_pixel() -> None:
    """Division and subtraction round as torch's do, for each of the 256 values."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    content = io.BytesIO()
    Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(content, "PNG")
    found = image_array(content.getvalue(), ImageInput((3, 16, 16), IMAGENET.mean, IMAGENET.std), 1000)
    import torch

    expected = IMAGENET(torch.from_numpy(np.stack([pixels] * 3)).unsqueeze(0))
    assert np.array_equal(found, expected.numpy())


@pytest.mark.parametrize(
    ("size", "limit", "fits"), [((40, 25), 1000, True), ((40, 25), 999, False), ((1, 50), 999, False)]
)
def test_pixels_are_counted_before_and_after_scaling(
    tmp_path: Path, size: tuple[int, int], limit: int, fits: bool
) -> None:
    content = io.BytesIO()
    Image.new("RGB", size).save(content, "PNG")
    image = ImageInput((3, 12, 9), IMAGENET.mean, IMAGENET.std)
    if fits:
        assert image_array(content.getvalue(), image, limit).shape == (1, 3, 12, 9)
    else:
        with pytest.raises(Refusal) as caught:
            image_array(content.getvalue(), image, limit)
        assert caught.value.status == 413
