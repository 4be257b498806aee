"""Folders of images: classes, sizes, damage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fxpasses.errors import InputError
from fxpasses.models.data.image_folder import read_image
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput

MODEL = ModelInput((3, 8, 8))


def write_image(path: Path, width: int = 8, height: int = 8, colour: tuple[int, int, int] = (200, 100, 50)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            for number in range(3):
                write_image(tmp_path / part / name / f"{number}.png")
    return tmp_path


def labels_of(folder: Path, labels: Path | None = None) -> list[int]:
    data = open_dataset(f"images={folder}", MODEL, labels)
    return [label for _, batch in data.evaluation() if batch is not None for label in batch.tolist()]


def test_classes_are_alphabetical_without_a_labels_file(folder: Path) -> None:
    data = open_dataset(f"images={folder}", MODEL)
    assert (data.num_classes, data.calibration_images, data.evaluation_images) == (2, 6, 6)
    assert labels_of(folder) == [0, 0, 0, 1, 1, 1]


def test_a_class_that_only_calibration_has_keeps_its_number(folder: Path) -> None:
    write_image(folder / "train" / "bat" / "0.jpg")
    assert labels_of(folder) == [1, 1, 1, 2, 2, 2]


def test_the_labels_file_decides_the_numbers(folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps({"classes": [["dog", "a dog"], ["eel", "?"], ["cat", "a cat"]]}))
    assert labels_of(folder) == [2, 2, 2, 0, 0, 0]
    assert open_dataset(f"images={folder}", MODEL).num_classes == 3
    other = folder / "other.json"
    other.write_text(json.dumps(["cat", "x", "y", "dog"]))
    assert labels_of(folder, other) == [0, 0, 0, 3, 3, 3]


def test_other_files_and_endings_in_capitals(folder: Path) -> None:
    (folder / "val" / "cat" / "notes.txt").write_text("not an image")
    (folder / "val" / "README").write_text("not a class")
    write_image(folder / "val" / "cat" / "9.JPG")
    assert len(labels_of(folder)) == 7


def test_pixels_of_the_models_size_are_fed_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    assert torch.equal(read_image(tmp_path / "noise.png", (3, 8, 8)), torch.from_numpy(pixels).permute(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(64, 16), (16, 64), (9, 9), (5, 4), (1, 50)])
@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 6, 10)])
def test_other_sizes_are_scaled_and_cut(tmp_path: Path, width: int, height: int, shape: tuple[int, ...]) -> None:
    write_image(tmp_path / "a.png", width, height)
    image = read_image(tmp_path / "a.png", shape)
    assert image.shape == shape
    assert image[:, 3, 3].tolist() == [200, 100, 50]


def test_the_centre_is_what_remains(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 30:50] = 255
    Image.fromarray(pixels).save(tmp_path / "stripe.png")
    # 80x40 becomes 64x32 (256/224 of 28); the middle 28 columns keep the stripe of 16 in their centre.
    columns = read_image(tmp_path / "stripe.png", (3, 28, 28))[0, 14]
    assert columns[:4].tolist() == columns[-4:].tolist() == [0] * 4
    assert columns[10:18].tolist() == [255] * 8


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_colour_mode_becomes_what_the_model_takes(tmp_path: Path, mode: str) -> None:
    ending = ".tif" if mode == "CMYK" else ".png"
    Image.new("RGB", (8, 8), (90, 90, 90)).convert(mode).save(tmp_path / f"a{ending}")
    assert read_image(tmp_path / f"a{ending}", (3, 8, 8)).shape == (3, 8, 8)
    assert read_image(tmp_path / f"a{ending}", (1, 8, 8)).shape == (1, 8, 8)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".gif"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_image_is_named(folder: Path, ending: str, damage: str) -> None:
    path = folder / "train" / "cat" / f"broken{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"<html>404</html>"}[damage])
    data = open_dataset(f"images={folder}", MODEL)
    with pytest.raises(InputError, match=f"cannot read the image .*broken{ending}"):
        list(data.calibration(7))


def test_nothing_is_decoded_before_it_is_asked_for(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    assert open_dataset(f"images={folder}", MODEL).calibration_images == 6


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('{"classes": [["cat", "x"]]}', "does not know the class 'dog'"),
        ('{"names": []}', "lists no classes"),
        ('{"classes": [["cat"], ["cat"]]}', "not distinct folder names"),
        ('{"classes": [1, 2]}', r"classes\[0\] = 1"),
        ('{"classes": ', "is not JSON"),
        ("\udcff", "invalid start byte"),
    ],
)
def test_a_wrong_labels_file_is_refused(folder: Path, labels: str, message: str) -> None:
    (folder / "labels.json").write_bytes(labels.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=f"(?s)labels.json.*{message}"):
        open_dataset(f"images={folder}", MODEL)


def test_a_missing_labels_file_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the labels .*gone.json"):
        open_dataset(f"images={folder}", MODEL, folder / "gone.json")


def test_a_folder_without_both_parts_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "train" / "cat" / "0.png")
    with pytest.raises(InputError, match=r"(?s)has no folder 'val'.*train/CLASS"):
        open_dataset(f"images={tmp_path}", MODEL)
    (tmp_path / "val" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match="val has no images"):
        open_dataset(f"images={tmp_path}", MODEL)


def test_a_model_that_takes_no_images_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="images have 1 or 3 channels, the model takes 48"):
        open_dataset(f"images={folder}", ModelInput((48,)))
