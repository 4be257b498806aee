"""Detectors of torchvision by name: built without a download, for images of one size."""

from __future__ import annotations

from typing import Any

import pytest

from fxpasses.errors import InputError
from fxpasses.models.zoo import find_blueprint
from fxpasses.models.zoos.torchvision_detection import FIXED_SIZES, detection_blueprint, detection_names


def test_names_with_a_size_of_their_own_are_known() -> None:
    assert set(FIXED_SIZES) < set(detection_names()) and "fcos_resnet50_fpn" in detection_names()


@pytest.mark.parametrize(
    ("name", "asked", "size"),
    [
        ("ssdlite320_mobilenet_v3_large", None, 320),
        ("retinanet_resnet50_fpn", None, 800),
        ("fcos_resnet50_fpn", 128, 128),
    ],
)
def test_input_sizes(name: str, asked: int | None, size: int) -> None:
    assert find_blueprint(f"torchvision/{name}", asked).input_shape == (3, size, size)


def test_it_is_built_for_that_size() -> None:
    model: Any = detection_blueprint("fcos_resnet50_fpn", 128).build()
    assert model.transform.min_size == (128,) and len(model.head.classification_head.cls_logits.bias) == 91


def test_another_size_than_its_own() -> None:
    with pytest.raises(InputError, match=r"cannot take 300x300 images\n.*resizes every image to one size"):
        detection_blueprint("ssdlite320_mobilenet_v3_large", 300)


@pytest.mark.parametrize(("size", "instead"), [(100, "96 or 128"), (20, "32 or 64")])
def test_a_size_that_is_padded(size: int, instead: str) -> None:
    with pytest.raises(InputError, match=rf"pads them to multiples of 32\n.*use {instead}"):
        detection_blueprint("fcos_resnet50_fpn", size)
