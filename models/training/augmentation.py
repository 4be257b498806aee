"""Mirrors and shifts images in training: He et al. 2015, section 4.2, the usual augmentation of CIFAR-10.

The border that a shift uncovers is black, as if images were padded before they are normalised. A network trained that
way has statistics of images with black borders, and other statistics reduce its accuracy. Suitable for photographs, but
not for digits and letters, which must not be mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.data_source import DataSource, SplitSource

PIXELS = 4


@dataclass(frozen=True)
class Augmentation:
    """Mirror each image at random, and shift it by up to ``pixels`` in each direction; ``background`` ``[C]`` fills the
    border.
    """

    background: Tensor
    pixels: int = PIXELS

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment ``[B, C, H, W]``; the generator decides, so that a seed gives the same images again."""
        count, channels, height, width = images.shape
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        canvas = self.background.to(images.dtype).view(1, channels, 1, 1)
        padded = canvas.repeat(count, 1, height + 2 * self.pixels, width + 2 * self.pixels)
        padded[:, :, self.pixels : self.pixels + height, self.pixels : self.pixels + width] = images
        offsets = torch.randint(2 * self.pixels + 1, (count, 2), generator=generator).tolist()
        return torch.stack(
            [image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, offsets, strict=True)]
        )


def augmentation_of(data: DataSource) -> Augmentation | None:
    """Make the augmentation for data: the background is the preprocessed black, or zeros without preprocessing. None if
    inputs are no images.
    """
    if len(data.input_shape) != 3:
        return None
    channels = data.input_shape[0]
    preprocessing = data.preprocessing if isinstance(data, SplitSource) else None
    if preprocessing is None:
        return Augmentation(torch.zeros(channels))
    return Augmentation(preprocessing(torch.zeros(1, channels, 1, 1, dtype=torch.uint8)).flatten())
