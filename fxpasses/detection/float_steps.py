"""The float steps of a detector around its int8 parts, by the code of torchvision's own classes.

These are anchors, the decoding of boxes, thresholds and non-maximum suppression. Here is only what ``forward`` of these
classes does between calls of their methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .images import Prepared
from .kinds import Kind, Model

Detections = list[dict[str, Tensor]]
"""Detections of each image: ``boxes [n, 4]``, ``labels [n]`` and ``scores [n]``, the best first."""
GridSizes = list[tuple[int, int]]
"""Height and width of each feature map."""


def feature_sizes(backbone: nn.Module, image_shape: tuple[int, ...]) -> GridSizes:
    """Height and width of each feature map for images ``(C, H, W)``.

    Args:
        backbone: without values (:func:`.kinds.without_values`).
    """
    maps = backbone(torch.empty(1, *image_shape, device="meta"))
    found = maps.values() if isinstance(maps, Mapping) else [maps]
    return [(int(each.shape[-2]), int(each.shape[-1])) for each in found]


def sizes_only(batch: Any, sizes: GridSizes) -> list[Tensor]:
    """Tensors with the sizes of feature maps, for anchors: they take no memory."""
    images = batch.tensors
    return [images.new_zeros(1).expand(len(images), 1, height, width) for height, width in sizes]


def one_stage_detections(
    model: Model, kind: Kind, outputs: Mapping[str, Tensor], sizes: GridSizes, given: Prepared
) -> Detections:
    """Detections from the outputs of a head."""
    images = given.batch
    anchors = model.anchor_generator(images, sizes_only(images, sizes))
    if kind is Kind.SSD:
        found = model.postprocess_detections(outputs, anchors, images.image_sizes)
    else:
        counts = level_counts(outputs["cls_logits"].shape[1], sizes)
        levels = {name: list(output.split(counts, dim=1)) for name, output in outputs.items()}
        split = [list(each.split(counts)) for each in anchors]
        found = model.postprocess_detections(levels, split, images.image_sizes)
    detections: Detections = model.transform.postprocess(found, images.image_sizes, given.originals)
    return detections


def level_counts(anchors: int, sizes: GridSizes) -> list[int]:
    """Number of anchors on each level; ``anchors`` is their sum."""
    cells = [height * width for height, width in sizes]
    return [anchors // sum(cells) * each for each in cells]


def proposals_of(model: Model, scores: list[Tensor], deltas: list[Tensor], given: Prepared) -> list[Tensor]:
    """The regions ``[n, 4]`` of each image that Faster R-CNN looks at, from the outputs of its proposal head."""
    from torchvision.models.detection.rpn import concat_box_prediction_layers

    images, rpn = given.batch, model.rpn
    counts = [int(level[0].numel()) for level in scores]
    anchors = rpn.anchor_generator(images, sizes_only(images, [(s.shape[-2], s.shape[-1]) for s in scores]))
    flat_scores, flat_deltas = concat_box_prediction_layers(list(scores), list(deltas))
    boxes = rpn.box_coder.decode(flat_deltas, anchors).view(len(images.image_sizes), -1, 4)
    proposals: list[Tensor] = rpn.filter_proposals(boxes, flat_scores, images.image_sizes, counts)[0]
    return proposals


def regions_of(model: Model, features: dict[str, Tensor], proposals: list[Tensor], given: Prepared) -> Tensor:
    """The regions cropped from the feature maps: ``[R, C, h, w]``, those of the first image first."""
    regions: Tensor = model.roi_heads.box_roi_pool(features, proposals, given.batch.image_sizes)
    return regions


def two_stage_detections(
    model: Model,
    head: Callable[[Tensor], Mapping[str, Tensor]],
    features: dict[str, Tensor],
    proposals: list[Tensor],
    given: Prepared,
) -> Detections:
    """Detections of Faster R-CNN: ``head`` is called on the regions, if there are any."""
    images = given.batch
    if not sum(map(len, proposals)):
        return [_nothing(images.tensors) for _ in proposals]
    outputs = head(regions_of(model, features, proposals, given))
    boxes, scores, labels = model.roi_heads.postprocess_detections(
        outputs["logits"], outputs["deltas"], proposals, images.image_sizes
    )
    found = [{"boxes": b, "labels": c, "scores": s} for b, c, s in zip(boxes, labels, scores, strict=True)]
    detections: Detections = model.transform.postprocess(found, images.image_sizes, given.originals)
    return detections


def _nothing(like: Tensor) -> dict[str, Tensor]:
    labels = torch.zeros(0, dtype=torch.int64, device=like.device)
    return {"boxes": like.new_zeros(0, 4), "labels": labels, "scores": like.new_zeros(0)}
