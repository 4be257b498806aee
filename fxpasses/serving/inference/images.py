"""An uploaded image becomes the model's input exactly as the training pipeline makes it, or is refused.

What an image claims to be is checked before it is decoded: kind, number of pixels, and the number of pixels it would be
scaled to (one column of a million pixels would be scaled to a hundred columns of a hundred million).
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fxpasses.layouts.deployed_model import ImageInput
from fxpasses.models.data.image_fitting import MODES, READING_ERRORS, fitted, scaled_size

from .refusal import Refusal

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM")
"""Image formats that a server decodes; Pillow knows more, which clients must not reach."""
DAMAGE = (*READING_ERRORS, struct.error, IndexError, KeyError, TypeError)
"""Exceptions that Pillow's decoders raise on damaged or hostile bytes."""


def image_array(content: bytes, image: ImageInput, max_pixels: int) -> Array:
    """The model's input, float32 ``[1, C, H, W]``, from an image file.

    Raises:
        Refusal: it is no image of a kind that is read, it is damaged, or it has too many pixels.
    """
    pixels = decode(content, image, max_pixels)
    mean = np.array(image.mean, np.float32).reshape(-1, 1, 1)
    std = np.array(image.std, np.float32).reshape(-1, 1, 1)
    scaled: Array = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return scaled[np.newaxis]


def decode(content: bytes, image: ImageInput, max_pixels: int) -> Array:
    """Pixels of an image file at the model's size, uint8 ``[C, H, W]``."""
    from PIL import Image

    channels, height, width = image.shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(content), formats=KINDS)
        _require_few_pixels(opened.size, image, max_pixels)
        converted = opened.convert(MODES[channels])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refusal(413, f"the image has more than {max_pixels} pixels") from error
    except DAMAGE as error:
        raise Refusal(400, f"not an image, or a damaged one; these are read: {', '.join(KINDS)}") from error
    placed = fitted(converted, height, width) if image.crop else _stretched(converted, height, width)
    array = np.array(placed, dtype=np.uint8)
    return array[np.newaxis] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _require_few_pixels(size: tuple[int, int], image: ImageInput, max_pixels: int) -> None:
    _, height, width = image.shape
    scaled = scaled_size(size, height, width) if image.crop else (width, height)
    if max(size[0] * size[1], scaled[0] * scaled[1]) > max_pixels:
        raise Refusal(413, f"the image has more than {max_pixels} pixels, or would have when it is scaled")


def _stretched(image: Image.Image, height: int, width: int) -> Image.Image:
    from PIL import Image as Pillow

    return image if image.size == (width, height) else image.resize((width, height), Pillow.Resampling.BILINEAR)
