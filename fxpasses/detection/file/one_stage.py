"""The last steps of the file for SSD, RetinaNet and FCOS; see :mod:`.candidates`."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from ..float_steps import GridSizes, level_counts, sizes_only
from ..kinds import Kind, Model
from .candidates import Candidates, above, clipped, results, rows_of
from .front import Front

BOXES, LOGITS, CENTRED = "bbox_regression", "cls_logits", "bbox_ctrness"
"""Outputs of torchvision's heads."""


class OneStageEnd(nn.Module):
    """Outputs of a head to detections; boxes are in pixels of the image that the file takes.

    Attributes:
        reads: names of the outputs that it takes, in order.
    """

    reads: tuple[str, ...] = (BOXES, LOGITS)
    anchors: Tensor
    ratio: Tensor

    def __init__(self, steps: Model, front: Front, sizes: GridSizes) -> None:
        super().__init__()
        self.steps, self.size = steps, front.resized
        (anchors,) = steps.anchor_generator(image_list(front), sizes_only(image_list(front), sizes))
        self.register_buffer("anchors", anchors)
        self.register_buffer("ratio", ratio_of(front))
        self.counts = level_counts(len(anchors), sizes)

    def forward(self, outputs: list[Tensor]) -> dict[str, Tensor]:
        steps = self.steps
        found = self.candidates(*outputs)
        return results(found.best(steps.nms_thresh, steps.detections_per_img, max(self.size)), self.ratio)

    @abstractmethod
    def candidates(self, *outputs: Tensor) -> Candidates:
        """The candidates with the best scores."""


class SsdEnd(OneStageEnd):
    """SSD: the best candidates of each class, which share boxes; class 0 is the background."""

    def candidates(self, *outputs: Tensor) -> Candidates:
        deltas, logits = outputs
        scores = logits.softmax(-1)[..., 1:].transpose(1, 2)
        best, anchor = scores.topk(min(self.steps.topk_candidates, scores.shape[2]), dim=2)
        anchors = self.anchors.expand(deltas.shape[0], -1, -1)
        decoded = self.steps.box_coder.decode_single(deltas.reshape(-1, 4), anchors.reshape(-1, 4))
        boxes = clipped(decoded.reshape(deltas.shape), self.size)
        labels = torch.arange(1, logits.shape[2], device=logits.device).view(1, -1, 1).expand(best.shape)
        kept = above(best, self.steps.score_thresh).flatten(1)
        return Candidates(rows_of(boxes, anchor.flatten(1)), kept, labels.flatten(1))


class RetinaNetEnd(OneStageEnd):
    """RetinaNet: the best candidates of each level, over all classes."""

    def candidates(self, *outputs: Tensor) -> Candidates:
        parts = zip(*(output.split(self.counts, 1) for output in outputs), strict=True)
        found = [self.of_level(a, *part) for a, part in zip(self.anchors.split(self.counts), parts, strict=True)]
        return Candidates(*(torch.cat(each, 1) for each in zip(*found, strict=True)))

    def of_level(self, anchors: Tensor, deltas: Tensor, logits: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """Boxes, scores and labels of one level."""
        scores = self.scores(logits, *others).flatten(1)
        best, place = scores.topk(min(self.steps.topk_candidates, scores.shape[1]), dim=1)
        anchor, labels = place // logits.shape[2], place % logits.shape[2]
        chosen = rows_of(anchors.expand(logits.shape[0], -1, -1), anchor)
        boxes = self.decoded(rows_of(deltas, anchor).reshape(-1, 4), chosen.reshape(-1, 4)).reshape(chosen.shape)
        return clipped(boxes, self.size), above(best, self.steps.score_thresh), labels

    def scores(self, logits: Tensor, *others: Tensor) -> Tensor:
        """Scores ``[B, anchors, classes]``."""
        return logits.sigmoid()

    def decoded(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes ``[n, 4]``."""
        boxes: Tensor = self.steps.box_coder.decode_single(deltas, anchors)
        return boxes


class FcosEnd(RetinaNetEnd):
    """FCOS: as RetinaNet, with scores that count how central a place is in its box."""

    reads: tuple[str, ...] = (BOXES, LOGITS, CENTRED)

    def scores(self, logits: Tensor, *others: Tensor) -> Tensor:
        (centred,) = others
        return torch.sqrt(logits.sigmoid() * centred.sigmoid())

    def decoded(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        boxes: Tensor = self.steps.box_coder.decode(deltas, anchors)
        return boxes


_ENDS: dict[Kind, type[OneStageEnd]] = {Kind.SSD: SsdEnd, Kind.RETINANET: RetinaNetEnd, Kind.FCOS: FcosEnd}


def one_stage_end(kind: Kind, steps: Model, front: Front, sizes: GridSizes) -> OneStageEnd:
    """The last steps of a detector of one stage."""
    return _ENDS[kind](steps, front, sizes).eval()


def image_list(front: Front) -> Model:
    """torchvision's ``ImageList`` with one image of the size that the file computes with, for anchors."""
    from torchvision.models.detection.image_list import ImageList

    return ImageList(torch.zeros(1).expand(1, 1, *front.padded), [(front.resized[0], front.resized[1])])


def ratio_of(front: Front) -> Tensor:
    """Factors from coordinates of the resized image to those of the given one."""
    sizes = zip(front.given, front.resized, strict=True)
    down, right = (torch.tensor(float(given)) / torch.tensor(float(used)) for given, used in sizes)
    return torch.stack([right, down, right, down])
