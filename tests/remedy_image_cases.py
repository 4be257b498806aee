"""Errors of image data sets: files that raise one, a part of its remedy, and the files with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data_set_files import ROW, boxes, classes, labels, masks, photo, read, removed, with_folders
from remedy_subjects import Case

FOLDERS = "models/data"


def _box(value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["annotations"][0].update(bbox=value)


def _name(value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["images"][0].update(file_name=value)


IMAGE_CASES: dict[str, Case] = {
    f"{FOLDERS}/image_folder.py:image_folder_splits": (
        lambda folder: classes(folder, "train"),
        "train/CLASS/*.jpg and val/CLASS/*.jpg",
        lambda folder: classes(folder, "train", "val"),
    ),
    f"{FOLDERS}/image_folder.py:require_image_shape": (
        lambda folder: read(f"images={photo(folder / 'a.png').parent}", ROW),
        "choose a model for images",
        lambda folder: classes(folder, "train", "val"),
    ),
    f"{FOLDERS}/image_folder.py:_class_indices": (
        lambda folder: labels(folder, {"classes": ["cat"]}),
        "add them to its classes, or remove these folders",
        lambda folder: labels(folder, {"classes": ["cat", "dog"]}),
    ),
    f"{FOLDERS}/image_folder.py:_read_classes": (
        lambda folder: labels(folder, {"classes": []}),
        "classes",
        lambda folder: labels(folder, {"classes": ["cat", "dog"]}),
    ),
    f"{FOLDERS}/image_folder.py:_read_classes#2": (
        lambda folder: labels(folder, {"classes": ["cat", "cat", "dog"]}),
        "classes",
        lambda folder: labels(folder, {"classes": ["cat", "dog"]}),
    ),
    f"{FOLDERS}/image_folder.py:_split": (
        lambda folder: read(f"images={with_folders(folder, 'train/cat', 'val/cat')}"),
        "put images into",
        lambda folder: classes(folder, "train", "val"),
    ),
    f"{FOLDERS}/image_folder.py:read_image": (
        lambda folder: (
            classes(folder, "train", "val")
            and (folder / "val" / "cat" / "2.png").write_text("no image")
            and read(f"images={folder}")
        ),
        "replace or remove this file",
        lambda folder: read(f"images={removed(folder / 'val' / 'cat', '2.png').parents[1]}"),
    ),
    f"{FOLDERS}/segmentation_folder.py:_split": (
        lambda folder: classes(folder, "train", "val") and read(f"segmentation={folder}"),
        "images",
        lambda folder: masks(folder),
    ),
    f"{FOLDERS}/segmentation_folder.py:_split#2": (
        lambda folder: read(f"segmentation={with_folders(folder, 'train/images', 'train/masks')}"),
        "images",
        lambda folder: masks(folder),
    ),
    f"{FOLDERS}/segmentation_folder.py:_split#3": (
        lambda folder: masks(folder, names=""),
        "masks",
        lambda folder: masks(folder),
    ),
    f"{FOLDERS}/segmentation_folder.py:read_mask": (
        lambda folder: masks(folder, mode="RGB"),
        "save it with one channel of 8 bits",
        lambda folder: masks(folder, mode="L"),
    ),
    f"{FOLDERS}/segmentation_folder.py:read_mask#2": (
        lambda folder: masks(folder, size=(4, 4)),
        "save both in one size",
        lambda folder: masks(folder, size=(8, 8)),
    ),
    f"{FOLDERS}/segmentation_folder.py:read_mask#3": (
        lambda folder: (
            masks(folder)
            and (folder / "val" / "masks" / "a.png").write_text("no image")
            and read(f"segmentation={folder}")
        ),
        "replace or remove this file",
        lambda folder: masks(folder),
    ),
    f"{FOLDERS}/coco_folder.py:coco_splits": (
        lambda folder: boxes(folder, val=lambda content: content["categories"].append({"id": 4, "name": "dog"})),
        "write the same categories into both",
        lambda folder: boxes(folder),
    ),
    f"{FOLDERS}/coco_folder.py:_split": (
        lambda folder: classes(folder, "train", "val") and read(f"coco={folder}"),
        "annotations",
        lambda folder: boxes(folder),
    ),
    f"{FOLDERS}/coco_folder.py:_split#2": (
        lambda folder: boxes(folder) and (folder / "train2017").rename(folder / "moved") and read(f"coco={folder}"),
        "annotations",
        lambda folder: boxes(folder),
    ),
    f"{FOLDERS}/coco_folder.py:_split#3": (
        lambda folder: boxes(folder, lambda content: content.update(categories=[], annotations=[])),
        "annotations",
        lambda folder: boxes(folder),
    ),
    f"{FOLDERS}/coco_folder.py:_split#4": (
        lambda folder: boxes(folder, lambda content: content.update(images=[], annotations=[])),
        "annotations",
        lambda folder: boxes(folder),
    ),
    f"{FOLDERS}/coco_folder.py:_boxes": (
        lambda folder: boxes(folder, lambda content: content["annotations"][0].update(category_id=9)),
        "take it out",
        lambda folder: boxes(folder, lambda content: content["annotations"].clear()),
    ),
    f"{FOLDERS}/coco_folder.py:_corners": (
        lambda folder: boxes(folder, _box([1, 2])),
        "[left, top, width, height] in pixels",
        lambda folder: boxes(folder, _box([1, 2, 3, 4])),
    ),
    f"{FOLDERS}/coco_folder.py:_corners#2": (
        lambda folder: boxes(folder, _box([4, 4, -3, 2])),
        "[left, top, width, height] in pixels",
        lambda folder: boxes(folder, _box([1, 4, 3, 2])),
    ),
    f"{FOLDERS}/coco_folder.py:_entries": (
        lambda folder: boxes(folder, lambda content: content.pop("annotations")),
        "annotations",
        lambda folder: boxes(folder),
    ),
    f"{FOLDERS}/coco_folder.py:_whole": (
        lambda folder: boxes(folder, lambda content: content["images"][0].update(id="one")),
        "annotations",
        lambda folder: boxes(folder),
    ),
    f"{FOLDERS}/coco_folder.py:_name": (
        lambda folder: boxes(folder, _name("../a.png")),
        "annotations",
        lambda folder: boxes(folder, _name("a.png")),
    ),
}
