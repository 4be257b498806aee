"""The last steps of the file: from outputs of heads to detections, in tensors of fixed sizes.

They are those of torchvision's ``postprocess_detections`` and ``filter_proposals``, with two differences that change no
result: candidates below the threshold get the score 0 instead of being taken out (the suppression ignores them), and
boxes of different labels are moved apart by a constant instead of the largest coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .operators import suppress


@dataclass(frozen=True)
class Candidates:
    """Candidates of each image: boxes ``[B, K, 4]``, scores ``[B, K]`` (0 is none) and labels ``[B, K]``."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def best(self, overlap: float, most: int, extent: float) -> Candidates:
        """The best ``most`` after suppression within each label; ``extent`` is the largest coordinate."""
        apart = self.boxes + (self.labels * (extent + 1)).unsqueeze(2).to(self.boxes.dtype)
        left = suppress(apart, self.scores, overlap, most)
        scores, order = left.topk(min(most, left.shape[1]), dim=1)
        return Candidates(rows_of(self.boxes, order), scores, self.labels.gather(1, order))


def rows_of(values: Tensor, order: Tensor) -> Tensor:
    """The rows ``[B, k, n]`` with these indices ``[B, k]`` of ``[B, N, n]``."""
    return values.gather(1, order.unsqueeze(2).expand(-1, -1, values.shape[2]))


def above(scores: Tensor, threshold: float) -> Tensor:
    """The scores above a threshold, and 0 in the place of the others."""
    return torch.where(scores > threshold, scores, torch.zeros_like(scores))


def clipped(boxes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Boxes ``[..., 4]`` inside an image of height and width ``size``."""
    x, y = boxes[..., 0::2].clamp(0, size[1]), boxes[..., 1::2].clamp(0, size[0])
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)


def large_enough(boxes: Tensor, least: float) -> Tensor:
    """Whether width and height of each box are at least ``least``."""
    sizes = boxes[..., 2:] - boxes[..., :2]
    return (sizes >= least).all(-1)


def results(found: Candidates, ratio: Tensor, first_label: int = 0) -> dict[str, Tensor]:
    """The outputs of the file; rows behind the last detection have score 0, label -1 and a box of zeros.

    Args:
        ratio: factors ``[4]`` from coordinates of the resized image to those of the given one.
        first_label: added to the labels.
    """
    there = found.scores > 0
    labels = torch.where(there, found.labels + first_label, torch.full_like(found.labels, -1))
    boxes = torch.where(there.unsqueeze(2), found.boxes * ratio, torch.zeros_like(found.boxes))
    return {"boxes": boxes, "scores": found.scores, "labels": labels, "count": there.sum(1)}
