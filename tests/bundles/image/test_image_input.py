"""Image inputs are normalized as the data sources do, and pixels are recovered from stored inputs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from bundle_folders import IMAGE, pixels
from documents import report

from fxpasses.bundles.image.image_input import ImageInput, image_input
from fxpasses.models.model_input import IMAGENET


def test_it_normalizes_as_data_sources_do() -> None:
    assert torch.equal(IMAGE.normalized(pixels()), IMAGENET(pixels().permute(0, 3, 1, 2)))


def test_pixels_are_found_again() -> None:
    found = IMAGE.pixels_behind(IMAGENET(pixels().permute(0, 3, 1, 2)))
    assert found is not None and torch.equal(found, pixels())


def test_noise_has_no_pixels() -> None:
    assert IMAGE.pixels_behind(torch.randn(2, 3, 9, 7)) is None
    assert IMAGE.pixels_behind(IMAGE.normalized(pixels()).mul(1 + 1e-6)) is None


def test_of_a_report() -> None:
    found = image_input(report(), any_size=True)
    assert found == ImageInput(8, 8, 1, (0.0,), (1.0,), any_size=True)
    grey_in_three = copy.deepcopy(report())
    grey_in_three["model_details"]["input_shape"] = [3, 8, 8]
    found = image_input(grey_in_three, any_size=False)
    assert isinstance(found, ImageInput) and found.mean == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"vocabulary": 10}, "tokens"),
        ({"input_shape": [16]}, "inputs of 16, and images"),
        ({"input_shape": [4, 8, 8]}, "4x8x8"),
        ({"inputs": [{"name": "a"}, {"name": "b"}]}, "several inputs"),
    ],
)
def test_no_image(changes: dict[str, Any], why: str) -> None:
    told = copy.deepcopy(report())
    told["model_details"] |= changes
    found = image_input(told, any_size=False)
    assert isinstance(found, str) and why in found


def test_a_report_that_does_not_say() -> None:
    assert "does not say" in str(image_input({"model_details": None}, any_size=False))
