"""Images are scaled alike in data sets and in the graphs that bundles write."""

from __future__ import annotations

from fxpasses.bundles.image.image_input import ImageInput
from fxpasses.image_scaling import RESIZE_RATIO
from fxpasses.models.data.image_fitting import scaled_size


def test_one_ratio_for_both() -> None:
    image = ImageInput(224, 224, 3, (0.0,) * 3, (1.0,) * 3)
    assert image.resize_ratio == RESIZE_RATIO
    assert scaled_size((512, 640), 224, 224) == (256, 320)
    assert round(image.height * image.resize_ratio) == 256
