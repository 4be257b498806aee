"""Pictures of shapes to learn from: one folder that serves a segmenter, a detector and a regressor.

python docs/examples/shapes.py shapes

On a noisy background lies one disc (class 1 of masks, 0 of boxes) and up to two squares (2, and 1). The folder is laid
out for ``segmentation=shapes`` (the class of every pixel), ``coco=shapes`` (the boxes) and ``csv=shapes/centres.csv``
(where the disc's centre is, as shares of the image's width and height).
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = 48
COUNTS = {"train": 480, "val": 120}
DISC, SQUARE = 1, 2


def draw(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int, int, int, int]]]:
    """Pixels ``[H, W, 3]``, the class of each, and (class, left, top, width, height) of each shape, the disc first."""
    pixels = random.normal(90, 25, (SIZE, SIZE, 3))
    classes = np.zeros((SIZE, SIZE), np.uint8)
    y, x = np.mgrid[:SIZE, :SIZE]
    boxes = []
    for kind in [SQUARE] * int(random.integers(0, 3)) + [DISC]:  # the disc last: nothing covers it
        half = int(random.integers(5, 9))
        cx, cy = (int(c) for c in random.integers(half, SIZE - half, 2))
        away = np.hypot(x - cx, y - cy) if kind == DISC else np.maximum(abs(x - cx), abs(y - cy))
        inside = away <= half
        colour = random.normal(190 if kind == DISC else 160, 20, 3)
        pixels[inside] = colour + random.normal(0, 12, (int(inside.sum()), 3))
        classes[inside] = kind
        boxes.append((kind, cx - half, cy - half, 2 * half + 1, 2 * half + 1))
    return pixels.clip(0, 255).astype(np.uint8), classes, boxes[::-1]


def write(folder: Path) -> None:
    """Draw both splits, always the same, and write them in all three layouts."""
    rows: list[list[object]] = [["image", "split", "target_x", "target_y"]]
    for seed, (part, count) in enumerate(COUNTS.items()):
        random = np.random.default_rng(seed)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels, classes, boxes = draw(random)
            name = f"images/{number:04}.png"
            Image.fromarray(pixels).save(folder / part / name)
            Image.fromarray(classes).save(folder / part / "masks" / f"{number:04}.png")
            images.append({"id": number, "file_name": name, "width": SIZE, "height": SIZE})
            annotations += [{"image_id": number, "category_id": kind, "bbox": box} for kind, *box in boxes]
            _, left, top, width, height = boxes[0]
            rows.append([f"{part}/{name}", part, (left + width / 2) / SIZE, (top + height / 2) / SIZE])
        categories = [{"id": DISC, "name": "disc"}, {"id": SQUARE, "name": "square"}]
        (folder / "annotations").mkdir(exist_ok=True)
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    with (folder / "centres.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
