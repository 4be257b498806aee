"""The parts of a detector that become int8 graphs: modules from tensors to tensors.

A detector of one stage has one part: images ``[B, C, H, W]``, normalised, to the outputs of its head, by name. Faster
R-CNN has two: images to feature maps and the outputs of the proposal head; and regions ``[R, C, h, w]``, cropped from
the feature maps, to class logits and box deltas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .kinds import Kind, Model, with_plain_norms

IMAGES, REGIONS = "images", "regions"
"""Names of parts: the first one of any detector, and the second one of Faster R-CNN."""


class OneStage(nn.Module):
    """Backbone and head of a detector of one stage."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.head(list(_by_name(self.backbone(images)).values()))
        return found


class Proposing(nn.Module):
    """Backbone and proposal head of Faster R-CNN: feature maps to crop from, and scores and deltas of each level."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.rpn.head
        self.cropped = tuple(model.roi_heads.box_roi_pool.featmap_names)

    def forward(self, images: Tensor) -> dict[str, Any]:
        features = _by_name(self.backbone(images))
        scores, deltas = self.head(list(features.values()))
        kept = {name: features[name] for name in features if name in self.cropped}
        return {"features": kept, "scores": list(scores), "deltas": list(deltas)}


class RegionHead(nn.Module):
    """The head of Faster R-CNN that reads regions: logits ``[R, classes]`` and box deltas ``[R, 4 * classes]``."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.head, self.predictor = model.roi_heads.box_head, model.roi_heads.box_predictor

    def forward(self, regions: Tensor) -> dict[str, Tensor]:
        logits, deltas = self.predictor(self.head(regions))
        return {"logits": logits, "deltas": deltas}


def _by_name(features: Any) -> Mapping[str, Any]:
    """Feature maps by name; a backbone may return a single one."""
    return features if isinstance(features, Mapping) else {"0": features}


def parts_of(model: Model, kind: Kind) -> dict[str, nn.Module]:
    """The parts of a detector by name; they share its tensors."""
    if kind is not Kind.FASTER_RCNN:
        return {IMAGES: with_plain_norms(OneStage(model)).eval()}
    parts = {IMAGES: Proposing(model), REGIONS: RegionHead(model)}
    return {name: with_plain_norms(part).eval() for name, part in parts.items()}
