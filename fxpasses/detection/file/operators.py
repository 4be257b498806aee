"""Two operators of the float steps, with results of fixed sizes, in PyTorch and in ONNX.

- ``fxpasses::suppress(boxes [B, K, 4], scores [B, K], overlap, most) -> [B, K]``: the scores that are left after
  non-maximum suppression of each image, and 0 in the place of the others. Scores of 0 neither suppress nor are left.
- ``fxpasses::crop(features [B, C, H, W] of each level, regions [R, 5], levels [R], scales, size, samples) ->
  [R, C, h, w]``: RoIAlign of each region on its level; a region is the index of its image, left, top, right, bottom.

ONNX's own operators have results whose sizes depend on values, so that whatever follows them could not be exported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("fxpasses", "FRAGMENT")
_LIBRARY.define("suppress(Tensor boxes, Tensor scores, float overlap, int most) -> Tensor")
_LIBRARY.define(
    "crop(Tensor[] features, Tensor regions, Tensor levels, float[] scales, int[] size, int samples) -> Tensor"
)


def _suppress(boxes: Tensor, scores: Tensor, overlap: float, most: int) -> Tensor:
    from torchvision.ops import nms

    left = torch.zeros_like(scores)
    for image, (candidates, values) in enumerate(zip(boxes, scores, strict=True)):
        there = torch.where(values > 0)[0]
        kept = there[nms(candidates[there], values[there], overlap)[:most]]
        left[image, kept] = values[kept]
    return left


def _suppress_fake(boxes: Tensor, scores: Tensor, overlap: float, most: int) -> Tensor:
    return torch.empty_like(scores)


def _crop(
    features: Sequence[Tensor],
    regions: Tensor,
    levels: Tensor,
    scales: Sequence[float],
    size: Sequence[int],
    samples: int,
) -> Tensor:
    from torchvision.ops import roi_align

    found = features[0].new_zeros(len(regions), features[0].shape[1], *size)
    for level, (maps, scale) in enumerate(zip(features, scales, strict=True)):
        there = torch.where(levels == level)[0]
        found[there] = roi_align(maps, regions[there], (size[0], size[1]), scale, samples)
    return found


def _crop_fake(
    features: Sequence[Tensor],
    regions: Tensor,
    levels: Tensor,
    scales: Sequence[float],
    size: Sequence[int],
    samples: int,
) -> Tensor:
    return features[0].new_empty(regions.shape[0], features[0].shape[1], *size)


for _name, _kernel, _fake in (("suppress", _suppress, _suppress_fake), ("crop", _crop, _crop_fake)):
    _LIBRARY.impl(_name, _kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"fxpasses::{_name}", _fake, lib=_LIBRARY)

suppress: Callable[..., Tensor] = torch.ops.fxpasses.suppress.default
"""Operator ``(boxes, scores, overlap, most) -> scores``, with 0 for suppressed boxes."""
crop: Callable[..., Tensor] = torch.ops.fxpasses.crop.default
"""Operator ``(features, regions, levels, scales, size, samples) -> cropped regions``."""


def translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """The exporter's custom translation table for both operators."""
    import onnxscript

    op: Any = onnxscript.values.Opset("", opset)
    return {suppress: _to_nms(op), crop: _to_roi_align(op)}


def _to_nms(op: Any) -> Callable[..., Any]:
    def to_nms(boxes: Any, scores: Any, overlap: float, most: int) -> Any:
        found = op.NonMaxSuppression(
            boxes,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            op.Constant(value_ints=[most]),
            op.Constant(value_floats=[overlap]),
            op.Constant(value_floats=[0.0]),
        )
        places = op.Gather(found, op.Constant(value_ints=[0, 2]), axis=1)
        nothing = op.Mul(scores, op.Constant(value_float=0.0))
        return op.ScatterND(nothing, places, op.GatherND(scores, places))

    return to_nms


def _to_roi_align(op: Any) -> Callable[..., Any]:
    def to_roi_align(
        features: Any, regions: Any, levels: Any, scales: list[float], size: list[int], samples: int
    ) -> Any:
        image = op.Cast(op.Gather(regions, op.Constant(value_int=0), axis=1), to=_INT64)
        boxes = op.Gather(regions, op.Constant(value_ints=[1, 2, 3, 4]), axis=1)
        found: Any = None
        for level, (maps, scale) in enumerate(zip(features, scales, strict=True)):
            there = op.Equal(levels, op.Constant(value_int=level))
            cropped = op.RoiAlign(
                maps,
                op.Compress(boxes, there, axis=0),
                op.Compress(image, there, axis=0),
                coordinate_transformation_mode="output_half_pixel",
                spatial_scale=scale,
                output_height=size[0],
                output_width=size[1],
                sampling_ratio=max(samples, 0),
            )
            if found is None:
                shape = op.Concat(op.Shape(levels), op.Shape(cropped, start=1), axis=0)
                found = op.Expand(op.Constant(value_float=0.0), shape)
            found = op.ScatterND(found, op.Transpose(op.NonZero(there)), cropped)
        return found

    return to_roi_align


_INT64 = 7
"""ONNX's number for the type int64."""
