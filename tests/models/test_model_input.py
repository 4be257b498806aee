"""Preprocessing from pixels to the model's input."""

from __future__ import annotations

import pytest
import torch

from fxpasses.models.model_input import IMAGENET, UNIT_RANGE, Preprocessing, shape_text


def test_imagenet_normalisation() -> None:
    pixels = torch.tensor([0, 255, 128], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = [(0 - 0.485) / 0.229, (1 - 0.456) / 0.224, (128 / 255 - 0.406) / 0.225]
    torch.testing.assert_close(IMAGENET(pixels).flatten(), torch.tensor(expected))
    assert pixels.flatten().tolist() == [0, 255, 128]


def test_one_entry_is_for_all_channels() -> None:
    pixels = torch.full((2, 4, 1, 1), 51, dtype=torch.uint8)
    torch.testing.assert_close(UNIT_RANGE(pixels), torch.full((2, 4, 1, 1), 0.2))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [((0.5, 0.5), (1.0,), "same number"), ((), (), "same number"), ((0.5,), (0.0,), "std must be positive")],
)
def test_impossible_settings_are_refused(mean: tuple[float, ...], std: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(mean, std)


def test_shapes_are_written_with_x() -> None:
    assert shape_text((3, 32, 16)) == "3x32x16"
