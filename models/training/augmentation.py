"""Mirror and shift images while training: He et al. 2015, section 4.2, the usual augmentation of CIFAR-10.

What a shift uncovers is black, as it is where images are padded before they are normalised: a network trained that way
has statistics of images with black borders, and other statistics cost it points (3.3 of the published ResNet-20's).
For photographs; digits and letters do not survive a mirror.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.data_source import DataSource, SplitSource

PIXELS = 4


@dataclass(frozen=True)
class Augmentation:
    """Each image mirrored or not, and moved by up to ``pixels`` each way; ``background`` ``[C]`` is behind it."""

    background: Tensor
    pixels: int = PIXELS

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """``[B, C, H, W]`` to the same shape; the generator decides, so that a seed gives the same images again."""
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
    """With the black of the data's preprocessing, or zeros where it has none; None where inputs are no images."""
    if len(data.input_shape) != 3:
        return None
    channels = data.input_shape[0]
    preprocessing = data.preprocessing if isinstance(data, SplitSource) else None
    if preprocessing is None:
        return Augmentation(torch.zeros(channels))
    return Augmentation(preprocessing(torch.zeros(1, channels, 1, 1, dtype=torch.uint8)).flatten())
