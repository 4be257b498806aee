"""The first step of the file: images with values from 0 to 1 are normalised, resized and padded, as in torchvision."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kinds import Model


class Front(nn.Module):
    """Images ``[B, C, h, w]`` of one size to ``[B, C, H, W]``, as the detector's own transform makes them.

    Attributes:
        resized: height and width after resizing, before padding.
        padded: height and width of the result.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, steps: Model, image_size: tuple[int, int]) -> None:
        super().__init__()
        transform = steps.transform
        self.register_buffer("mean", torch.tensor(transform.image_mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(transform.image_std).view(-1, 1, 1))
        batch, _ = transform([torch.zeros(len(transform.image_mean), *image_size)])
        self.given, self.resized = image_size, tuple(map(int, batch.image_sizes[0]))
        self.padded = tuple(map(int, batch.tensors.shape[-2:]))

    def forward(self, images: Tensor) -> Tensor:
        made = (images - self.mean) / self.std
        if self.resized != self.given:
            made = F.interpolate(made, size=self.resized, mode="bilinear", align_corners=False)
        below, right = (all_ - part for all_, part in zip(self.padded, self.resized, strict=True))
        return F.pad(made, (0, right, 0, below)) if below or right else made
