"""Description of a model's image input, and the check that stored inputs were made from pixels in that way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from fxpasses.image_scaling import RESIZE_RATIO

CHANNELS = (1, 3)
LEVELS = 255


@dataclass(frozen=True)
class ImageInput:
    """Images of a size, and ``(pixel / 255 - mean) / std`` in float32 for each channel.

    Attributes:
        any_size: whether the graph scales and crops images itself.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize_ratio: float = RESIZE_RATIO
    any_size: bool = False

    def normalized(self, pixels: Tensor) -> Tensor:
        """uint8 ``[N, H, W, C]`` to float32 ``[N, C, H, W]``, operation by operation as the data sources do it."""
        mean, std = (torch.tensor(x, dtype=torch.float32).view(-1, 1, 1) for x in (self.mean, self.std))
        return pixels.permute(0, 3, 1, 2).to(torch.float32).div(LEVELS).sub(mean).div(std).contiguous()

    def pixels_behind(self, inputs: Tensor) -> Tensor | None:
        """uint8 ``[N, H, W, C]`` that :meth:`normalized` makes these inputs of, bit for bit; None if there are none."""
        mean, std = (torch.tensor(x, dtype=torch.float64).view(-1, 1, 1) for x in (self.mean, self.std))
        pixels = ((inputs.double() * std + mean) * LEVELS).round().clamp(0, LEVELS).to(torch.uint8)
        pixels = pixels.permute(0, 2, 3, 1).contiguous()
        return pixels if torch.equal(self.normalized(pixels), inputs) else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def image_input(report: Mapping[str, Any], *, any_size: bool) -> ImageInput | str:
    """The image input of a report's model; or, if the model does not take images, the reason as a sentence."""
    details = report.get("model_details")
    if not isinstance(details, Mapping):
        return "report.json does not say what the model is fed"
    shape, given = details["input_shape"], details["preprocessing"]
    if details["vocabulary"] is not None or len(details.get("inputs") or ()) > 1:
        return "it takes tokens or several inputs, no image"
    if len(shape) != 3 or shape[0] not in CHANNELS:
        return f"it takes inputs of {'x'.join(map(str, shape))}, and images have 1 or 3 channels, a height and a width"
    channels, height, width = shape
    mean, std = (tuple(given[key]) * (channels if len(given[key]) == 1 else 1) for key in ("mean", "std"))
    return ImageInput(height, width, channels, mean, std, any_size=any_size)
