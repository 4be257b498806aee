"""Outputs and labels of detectors as boxes, scores and classes, for the mean average precision.

The output is ``[B, 4 + classes, N]``: centre x, centre y, width and height in pixels of each of N candidates, then a
score for each class, as in ultralytics' models. Candidates above ``LEAST_SCORE`` pass non-maximum suppression within
their class, and the best ``MOST`` of an image are kept. Labels are ``[B, M, 5]``: class, left, top, right, bottom in
pixels of the input; padding rows have a negative class. ``coco=DIR`` gives labels in this form. For other detectors
write a ``path/file.py:function``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fxpasses.errors import InputError

from .metric_sums import required_labels

LEAST_SCORE, MOST_OVERLAP, MOST = 0.001, 0.7, 300
"""Smallest score, largest overlap and largest number of boxes, as in COCO evaluations of such models."""
CANDIDATES = 3000
"""Number of candidates with the best scores that enter suppression, per image."""
Boxes = list[dict[str, Tensor]]


def as_detections(output: Tensor, labels: Any) -> tuple[Boxes, Boxes]:
    """The detected and the true boxes, image by image."""
    known = required_labels(labels, "map")
    if output.dim() != 3 or output.shape[1] < 5 or known.dim() != 3 or known.shape[2] != 5:
        raise InputError(
            f"labels of shape {list(known.shape)} for outputs of shape {list(output.shape)}",
            why="map takes outputs [B, 4 + classes, N] and labels [B, M, 5]: class, left, top, right, bottom",
            fix='name another output, `metric="map@KEY"`, or write a path/file.py:function',
        )
    return [_found(image) for image in output.float()], [true_boxes(image) for image in known.float()]


def _found(candidates: Tensor) -> dict[str, Tensor]:
    """Boxes ``[n, 4]``, scores and classes ``[n]`` from ``[4 + classes, N]``."""
    from torchvision.ops import batched_nms

    scores, classes = candidates[4:].max(0)
    order = scores.argsort(descending=True, stable=True)[:CANDIDATES]
    order = order[scores[order] > LEAST_SCORE]
    centre, size = candidates[:2, order].T, candidates[2:4, order].T
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    kept = batched_nms(boxes, scores[order], classes[order], MOST_OVERLAP)[:MOST]
    return {"boxes": boxes[kept], "scores": scores[order][kept], "labels": classes[order][kept]}


def true_boxes(rows: Tensor) -> dict[str, Tensor]:
    """Boxes and classes of labels ``[M, 5]``, without rows that pad."""
    known = rows[rows[:, 0] >= 0]
    return {"boxes": known[:, 1:], "labels": known[:, 0].long()}
