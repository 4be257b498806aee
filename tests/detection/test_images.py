"""Images are lists of tensors, batches may have targets, and anything else is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detector_nets import images, net

from fxpasses.detection.images import checked_images, image_batches, noise, prepared
from fxpasses.errors import InputError

IMAGE = torch.rand(3, 8, 9)


def test_prepared_as_the_detector_does() -> None:
    given = prepared(net("RetinaNet"), [torch.rand(3, 50, 60), torch.rand(3, 64, 64)])
    assert given.originals == [(50, 60), (64, 64)]
    assert given.batch.tensors.shape == (2, 3, 64, 96)
    assert given.batch.image_sizes == [(64, 76), (64, 64)]


@pytest.mark.parametrize(
    "batch",
    [
        [IMAGE, IMAGE],
        (IMAGE, IMAGE),
        ((IMAGE, IMAGE), ({"boxes": None}, {"boxes": None})),
        ([IMAGE, IMAGE], None),
        torch.stack([IMAGE, IMAGE]),
        [torch.stack([IMAGE, IMAGE]), torch.zeros(2, 3, 5)],
    ],
)
def test_batches_with_and_without_targets(batch: Any) -> None:
    (found,) = image_batches([batch])
    assert [tuple(image.shape) for image in found] == [(3, 8, 9)] * 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "an empty list of images"),
        (IMAGE, r"images of shape \[3, 8, 9\]\n.*one image, not several"),
        ([IMAGE, IMAGE[0]], r"image 1 is a float32 \[8, 9\]"),
        ([(255 * IMAGE).to(torch.uint8)], r"image 0 is a uint8 \[3, 8, 9\]\n.*values from 0 to 1"),
        ("a.png", "image 0 is a str"),
    ],
)
def test_what_is_no_image_is_told(given: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        checked_images(given)


def test_noise_is_the_same_again() -> None:
    assert torch.equal(noise((4, 5)), noise((4, 5))) and noise((4, 5)).shape == (2, 3, 4, 5)
    assert len(images(3)) == 3
