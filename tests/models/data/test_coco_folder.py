"""``coco=DIR``: boxes are scaled with their images, and invalid annotations are refused when the folder is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from fxpasses.errors import InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput

MODEL = ModelInput((3, 20, 40))


def content_of_file(**changes: Any) -> dict[str, Any]:
    images = [{"id": 7, "file_name": "a.png", "width": 10, "height": 10}]
    images.append({"id": 9, "file_name": "b.png", "width": 20, "height": 10})
    boxes = [
        {"image_id": 7, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 10, 10.0]},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "iscrowd": 1},
    ]
    categories = [{"id": 5, "name": "cat"}, {"id": 3, "name": "dog"}]
    return {"images": images, "annotations": boxes, "categories": categories} | changes


def write(folder: Path, part: str, content: object) -> None:
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / f"{part}2017").mkdir(exist_ok=True)
    for name, size in (("a.png", (10, 10)), ("b.png", (20, 10))):
        Image.new("RGB", size, (255, 0, 0)).save(folder / f"{part}2017" / name)
    (folder / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "train", content_of_file())
    write(tmp_path, "val", content_of_file())
    return tmp_path


def test_boxes_are_scaled_with_their_image(folder: Path) -> None:
    source = open_dataset(f"coco={folder}", MODEL)
    assert (source.num_classes, source.calibration_images) == (2, 2)
    ((inputs, labels),) = source.evaluation()
    assert inputs.shape == (2, 3, 20, 40)
    # 10x10 becomes 40x20: x by 4, y by 2; category 3 is class 0, and crowds are left out.
    assert torch.allclose(labels[0], torch.tensor([[1.0, 4, 4, 16, 12], [0, 0, 0, 40, 20]]))
    assert torch.equal(labels[1, :, 0], torch.tensor([-1.0, -1]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "none"}, r"'images' is no list of entries"),
        ({"images": []}, "an annotation of image 7"),
        ({"images": [], "annotations": []}, "lists no images"),
        ({"categories": []}, "lists no categories"),
        ({"categories": [{"id": 3}]}, "an annotation of category 5"),
        ({"annotations": [{"image_id": 7, "category_id": 5, "bbox": [1, 2, 3]}]}, r"(?s)a bbox is no box.*\[1, 2, 3\]"),
        ({"annotations": [{"image_id": 7, "category_id": 5, "bbox": [1, 2, -3, 4]}]}, "a bbox has no size"),
        ({"annotations": [{"image_id": "7", "category_id": 5}]}, "image_id is '7'"),
        ({"images": [{"id": 7, "file_name": "../a.png", "width": 1, "height": 1}], "annotations": []}, "file_name is"),
        (
            {"images": [{"id": 7, "file_name": "c.png", "width": 1, "height": 1}], "annotations": []},
            r"cannot open .*c.png",
        ),
    ],
)
def test_annotations_that_are_none(folder: Path, changes: dict[str, Any], message: str) -> None:
    write(folder, "val", content_of_file(**changes))
    with pytest.raises(InputError, match=message):
        open_dataset(f"coco={folder}", MODEL)


def test_files_that_are_missing_or_many(folder: Path) -> None:
    (folder / "val2017").rename(folder / "test")
    with pytest.raises(InputError, match="has no folder val2017"):
        open_dataset(f"coco={folder}", MODEL)
    (folder / "annotations" / "instances_val2014.json").write_text("{}")
    with pytest.raises(InputError, match=r"(?s)no single annotations/instances_val\*.json.*there are 2"):
        open_dataset(f"coco={folder}", MODEL)


def test_both_parts_have_the_same_categories(folder: Path) -> None:
    write(folder, "train", content_of_file(categories=[{"id": 3}, {"id": 5}, {"id": 6}]))
    with pytest.raises(InputError, match="of train has 3 categories, that of val 2"):
        open_dataset(f"coco={folder}", MODEL)
