"""torchvision's own detectors with random weights: int8 outputs near float, and one file that finds the same.

One of each kind: RetinaNet and FCOS have the backbone of Faster R-CNN and the heads of the small ones of the other
tests, SSD300 the head of SSDlite. ``scripts/coverage.py --zoo torchvision-detection`` takes all eight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from detector_nets import images
from torch.utils import _pytree as pytree

import fxpasses as fx
from fxpasses.detection import OnnxDetector
from fxpasses.detection.images import prepared
from fxpasses.detection.kinds import kind_of
from fxpasses.detection.parts import parts_of
from fxpasses.models.zoo import load_model
from fxpasses.sqnr import sqnr_db

pytestmark = pytest.mark.slow

NAMES = {
    "ssdlite320_mobilenet_v3_large": (None, 2),
    "fasterrcnn_resnet50_fpn": (128, 2),
}
"""Names with the size of images, if it is free, and their number in a batch: small ones and few, to be quick."""
LEAST_DB = 10.0
"""Smallest SQNR of an output, as for the other models of torchvision: random weights of deep nets amplify rounding."""


def sqnr(expected: torch.Tensor, found: torch.Tensor) -> float:
    signal, noise = float(expected.double().square().sum()), float((expected - found).double().square().sum())
    value = sqnr_db(signal, noise)
    assert value is not None
    return value


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_near_float_and_the_file_works(name: str, tmp_path: Path) -> None:
    side, count = NAMES[name]
    model: Any = load_model(f"torchvision/{name}", image_size=side).module
    size = (model.transform.min_size[-1],) * 2
    detector = fx.quantize_detector(model, [images(count, size, seed=1), images(count, size, seed=2)])
    given = prepared(detector.steps, images(count, size, seed=3))
    part = parts_of(model, kind_of(model))["images"]
    with torch.no_grad():
        expected, found = (pytree.tree_leaves(net(given.batch.tensors)) for net in (part, detector.int8["images"]))
    decibels = [sqnr(a, b) for a, b in zip(expected, found, strict=True)]
    print(name, [round(value, 1) for value in decibels])
    assert min(decibels) >= LEAST_DB
    path = detector.to_onnx(tmp_path / "detector.onnx", size)  # verified: it finds what PyTorch finds
    shown = OnnxDetector(path)(images(1, size, seed=3)), detector(images(1, size, seed=3))
    print([len(each[0]["scores"]) for each in shown], path.stat().st_size)
    assert abs(len(shown[0][0]["scores"]) - len(shown[1][0]["scores"])) <= 0.1 * len(shown[1][0]["scores"]) + 1
