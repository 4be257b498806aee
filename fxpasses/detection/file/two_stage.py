"""The float steps of the file between and behind the two int8 parts of Faster R-CNN; see :mod:`.candidates`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..float_steps import sizes_only
from ..kinds import Model
from .candidates import Candidates, above, clipped, large_enough, results, rows_of
from .front import Front
from .one_stage import image_list, ratio_of
from .operators import crop

SMALLEST_FOUND = 1e-2
"""Smallest width and height of a detection in pixels, as in torchvision."""


class Between(nn.Module):
    """Outputs of the first part to the regions that the second one reads, their places and their chances.

    Of each image the best ``P`` proposals are kept: ``regions [B * P, C, h, w]``, ``proposals [B, P, 4]`` and ``chances
    [B, P]``, which are 0 where an image has fewer.
    """

    anchors: Tensor
    levels: Tensor

    def __init__(self, steps: Model, front: Front, scores: list[Tensor]) -> None:
        super().__init__()
        self.steps, self.size = steps, front.resized
        images = image_list(front)
        (anchors,) = steps.rpn.anchor_generator(
            images, sizes_only(images, [(s.shape[-2], s.shape[-1]) for s in scores])
        )
        self.counts = [int(level[0].numel()) for level in scores]
        self.register_buffer("anchors", anchors)
        numbers = [torch.full((count,), level) for level, count in enumerate(self.counts)]
        self.register_buffer("levels", torch.cat(numbers))

    def forward(self, features: list[Tensor], scores: list[Tensor], deltas: list[Tensor]) -> dict[str, Tensor]:
        found = self.proposals(scores, deltas)
        images, most = found.scores.shape
        image = torch.arange(images, device=found.boxes.device).view(-1, 1, 1).expand(-1, most, -1)
        boxes = torch.cat([image.to(found.boxes.dtype), found.boxes], 2).flatten(0, 1)
        pool = self.steps.roi_heads.box_roi_pool
        levels = torch.zeros_like(boxes[:, 0], dtype=torch.int64)
        if len(features) > 1:
            levels = pool.map_levels([found.boxes.flatten(0, 1)])
        regions = crop(features, boxes, levels, list(pool.scales), list(pool.output_size), pool.sampling_ratio)
        return {"regions": regions, "proposals": found.boxes, "chances": found.scores}

    def proposals(self, scores: list[Tensor], deltas: list[Tensor]) -> Candidates:
        """The proposals of each image."""
        from torchvision.models.detection.rpn import concat_box_prediction_layers

        rpn, images = self.steps.rpn, scores[0].shape[0]
        flat_scores, flat_deltas = concat_box_prediction_layers(list(scores), list(deltas))
        chances = flat_scores.reshape(images, -1)
        anchors = self.anchors.expand(images, -1, -1).reshape(-1, 4)
        boxes = rpn.box_coder.decode_single(flat_deltas, anchors).reshape(images, -1, 4)
        first, order = 0, list[Tensor]()
        for level in chances.split(self.counts, 1):
            order.append(level.topk(min(rpn.pre_nms_top_n(), level.shape[1]), dim=1).indices + first)
            first += level.shape[1]
        chosen = torch.cat(order, 1)
        boxes, levels = clipped(rows_of(boxes, chosen), self.size), self.levels.expand(images, -1).gather(1, chosen)
        chances = chances.gather(1, chosen).sigmoid()
        fit = large_enough(boxes, rpn.min_size) & (chances >= rpn.score_thresh)
        found = Candidates(boxes, torch.where(fit, chances, torch.zeros_like(chances)), levels)
        return found.best(rpn.nms_thresh, rpn.post_nms_top_n(), max(self.size))


class TwoStageEnd(nn.Module):
    """Classified regions to detections; boxes are in pixels of the image that the file takes."""

    ratio: Tensor

    def __init__(self, steps: Model, front: Front) -> None:
        super().__init__()
        self.steps, self.size = steps, front.resized
        self.register_buffer("ratio", ratio_of(front))

    def forward(self, logits: Tensor, deltas: Tensor, proposals: Tensor, chances: Tensor) -> dict[str, Tensor]:
        heads, classes = self.steps.roi_heads, logits.shape[1]
        images, most = chances.shape
        boxes = heads.box_coder.decode_single(deltas, proposals.flatten(0, 1)).reshape(images, most, classes, 4)
        boxes = clipped(boxes[:, :, 1:], self.size)
        scores = above(logits.softmax(-1).reshape(images, most, classes)[..., 1:], heads.score_thresh)
        fit = large_enough(boxes, SMALLEST_FOUND) & (chances > 0).unsqueeze(2)
        scores = torch.where(fit, scores, torch.zeros_like(scores)).flatten(1)
        labels = torch.arange(1, classes, device=logits.device).expand(images, most, -1).flatten(1)
        found = Candidates(boxes.flatten(1, 2), scores, labels)
        return results(found.best(heads.nms_thresh, heads.detections_per_img, max(self.size)), self.ratio)
