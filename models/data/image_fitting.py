"""Fitting of an image to the model's size: unchanged, or scaled by its shorter side, with the centre cut out.

This module imports no torch, because a server reads images as the training pipeline does, but without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fxpasses.image_scaling import RESIZE_RATIO

if TYPE_CHECKING:
    from PIL import Image

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode by the number of channels."""
READING_ERRORS = (OSError, ValueError, SyntaxError, EOFError)
"""Exceptions that Pillow raises for a damaged image, depending on the decoder."""


def scaled_size(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Width and height to which an image of ``size`` (width, height) is scaled before its centre is cut out."""
    if size == (width, height):
        return size
    scale = RESIZE_RATIO * max(width / size[0], height / size[1])
    # Rounding must not make the image smaller than the crop.
    return max(width, round(size[0] * scale)), max(height, round(size[1] * scale))


def fitted(image: Image.Image, height: int, width: int) -> Image.Image:
    """The image at the model's size."""
    if image.size == (width, height):
        return image
    from PIL import Image as Pillow

    size = scaled_size(image.size, height, width)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return image.resize(size, Pillow.Resampling.BILINEAR).crop((left, top, left + width, top + height))
