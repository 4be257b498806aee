"""The settings of a detector's float steps as plain values, and float steps with such settings.

A description holds numbers only: the transform of images, anchors, the coding of boxes, thresholds of scores and of
suppression. Steps are made from it by torchvision's classes, with nothing in the place of layers.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from fxpasses.export.pt2_records.records import field, integer

from ..kinds import Kind, Model
from .described_parts import (
    anchors_of,
    coder_of,
    described_anchors,
    described_coder,
    described_pool,
    described_transform,
    pool_of,
    real,
    transform_of,
)

LARGEST_COUNT = 1_000_000
"""Largest number of candidates, detections and pixels that a file may name."""
_REALS, _COUNTS = ("score_thresh", "nms_thresh"), ("detections_per_img", "topk_candidates")
_PROPOSING = ("score_thresh", "nms_thresh", "min_size")


def described(steps: Model, kind: Kind) -> dict[str, Any]:
    """The description of a detector's float steps.

    Raises:
        InputError: a part is of a class that is not torchvision's.
    """
    found: dict[str, Any] = {"transform": described_transform(steps.transform)}
    if kind is not Kind.FASTER_RCNN:
        found |= {"anchors": described_anchors(steps.anchor_generator), "coder": described_coder(steps.box_coder)}
        return found | {name: getattr(steps, name) for name in (*_REALS, *_COUNTS)}
    rpn, heads = steps.rpn, steps.roi_heads
    proposing = {name: getattr(rpn, name) for name in _PROPOSING}
    proposing |= {"before": rpn.pre_nms_top_n(), "after": rpn.post_nms_top_n()}
    found |= {"anchors": described_anchors(rpn.anchor_generator), "pool": described_pool(heads.box_roi_pool)}
    found |= {"proposals": proposing, "proposal_coder": described_coder(rpn.box_coder)}
    found |= {"coder": described_coder(heads.box_coder)}
    return found | {name: getattr(heads, name) for name in (*_REALS, _COUNTS[0])}


def steps_of(document: Any, kind: Kind) -> Model:
    """A detector without layers from a description of its steps.

    Raises:
        RefusedError: the description is damaged.
    """
    anchors, coder = anchors_of(_part(document, "anchors"), kind), coder_of(_part(document, "coder"), kind)
    made = _two_stage(document, anchors, coder) if kind is Kind.FASTER_RCNN else _one_stage(kind, anchors)
    made.transform = transform_of(_part(document, "transform"))
    owner = made.roi_heads if kind is Kind.FASTER_RCNN else made
    owner.box_coder = coder
    for name in _REALS:
        setattr(owner, name, real(_part(document, name), name))
    for name in _COUNTS if kind is not Kind.FASTER_RCNN else _COUNTS[:1]:
        setattr(owner, name, _count(_part(document, name), name))
    return made.eval()


class NoLayers(nn.Identity):
    """A module in the place of a backbone, with the number of channels that torchvision asks for."""

    out_channels = 1


def _one_stage(kind: Kind, anchors: nn.Module) -> Model:
    from torchvision.models.detection.fcos import FCOS
    from torchvision.models.detection.retinanet import RetinaNet
    from torchvision.models.detection.ssd import SSD

    if kind is Kind.SSD:
        some_size: Any = (1, 1)  # the transform takes its place
        return SSD(NoLayers(), anchors, some_size, 1, head=nn.Identity())
    made = RetinaNet if kind is Kind.RETINANET else FCOS
    return made(NoLayers(), 1, anchor_generator=anchors, head=nn.Identity())


def _two_stage(document: Any, anchors: nn.Module, coder: Any) -> Model:
    from torchvision.models.detection.faster_rcnn import FasterRCNN

    given = _part(document, "proposals")
    made = FasterRCNN(
        NoLayers(),
        rpn_anchor_generator=anchors,
        rpn_head=nn.Identity(),
        box_roi_pool=pool_of(_part(document, "pool")),
        box_head=nn.Identity(),
        box_predictor=nn.Identity(),
        rpn_pre_nms_top_n_test=_count(field(given, "before", "proposals"), "before"),
        rpn_post_nms_top_n_test=_count(field(given, "after", "proposals"), "after"),
    )
    made.rpn.box_coder = coder_of(_part(document, "proposal_coder"), Kind.FASTER_RCNN)
    for name in _PROPOSING:
        setattr(made.rpn, name, real(field(given, name, "proposals"), name))
    return made


def _part(document: Any, name: str) -> Any:
    return field(document, name, "steps")


def _count(value: object, where: str) -> int:
    return integer(value, where, 0, LARGEST_COUNT)
