"""``DetectorLayers``: backbone and head of a detector as a model of their own, for whatever takes models of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fxpasses.errors import InputError

from .float_steps import Detections, feature_sizes, one_stage_detections
from .images import Prepared
from .kinds import Kind, Model, kind_of, without_values
from .parts import IMAGES, OneStage, parts_of

COCO_CLASSES = 91
"""Number of classes of torchvision's own weights: their labels are COCO's category ids, some of which are not used."""


class DetectorLayers(OneStage):
    """Normalised images ``[B, C, H, W]`` of one size to the outputs of the head, and the way from these to boxes.

    Attributes:
        kind: the class of the whole detector.
        whole: the whole detector.
        image_shape: ``(C, H, W)`` of one image.
    """

    def __init__(self, model: nn.Module, kind: Kind, image_shape: tuple[int, int, int]) -> None:
        super().__init__(parts_of(model, kind)[IMAGES])
        self.kind, self.image_shape = kind, image_shape
        self._whole = [model]  # in a list: its weights are counted once
        self.grid_sizes = feature_sizes(without_values(self.backbone), image_shape)

    @property
    def whole(self) -> Model:
        return self._whole[0]

    def detections(self, outputs: Mapping[str, Tensor]) -> Detections:
        """Detections, in pixels of the images, from the outputs by name."""
        from torchvision.models.detection.image_list import ImageList

        count, size = len(next(iter(outputs.values()))), self.image_shape[1:]
        images = ImageList(torch.zeros(1).expand(count, *self.image_shape), [size] * count)
        given = Prepared(images, [size] * count)
        return one_stage_detections(self.whole, self.kind, outputs, self.grid_sizes, given)


def layers_alone(model: nn.Module, image_shape: tuple[int, ...]) -> DetectorLayers:
    """The layers of a detector of one stage.

    Args:
        image_shape: shape of the images; of these the detector's own transform makes those that the layers take.

    Raises:
        InputError: it has two stages, or changes images of the size that its own transform makes.
    """
    kind = kind_of(model)
    if kind is Kind.FASTER_RCNN:
        raise InputError(
            f"{type(model).__name__} as one network",
            why="between its two stages regions are chosen and cropped, so that it is two networks",
            fix="quantize it in Python, fx.quantize_detector(model, batches), which makes both and joins them",
        )
    whole: Model = model
    made, _ = whole.transform([torch.zeros(image_shape)])
    channels, height, width = (int(size) for size in made.tensors.shape[1:])
    again, _ = whole.transform([torch.zeros(channels, height, width)])
    if tuple(again.image_sizes[0]) != (height, width):
        raise InputError(
            f"{type(model).__name__} for images of {height}x{width}",
            why="its transform resizes images of this size, which it makes of others itself: it pads them",
            fix=f"build it with min_size and max_size that are multiples of {whole.transform.size_divisible}",
        )
    return DetectorLayers(model, kind, (channels, height, width))


def data_labels(labels: Tensor, classes: int, categories: int | None) -> Tensor:
    """The classes of data, numbered from 0, for labels of a detector.

    torchvision's own weights have 91 classes, COCO's category ids, of which the data has 80. A detector with as many
    classes as the data counts from 0; others have a background in front.
    """
    if categories == classes:
        return labels
    if classes == COCO_CLASSES:
        return _coco_order().to(labels.device)[labels]
    return labels - 1


def _coco_order() -> Tensor:
    """The place of each of COCO's category ids among those in use; -1 for the others."""
    from torchvision.models import get_model_weights

    described: Any = next(iter(get_model_weights("ssd300_vgg16")))
    facts = described.meta
    names = facts["categories"]
    used = torch.tensor([name not in ("__background__", "N/A") for name in names])
    return torch.where(used, used.long().cumsum(0) - 1, torch.full((len(names),), -1))
