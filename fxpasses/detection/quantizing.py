"""``quantize_detector``: a float detector of torchvision becomes one with int8 layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.capturing.attempts import capture
from fxpasses.capturing.dynamic_sizes import Dynamic
from fxpasses.errors import InputError
from fxpasses.passes.fusion import fuse
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.recipe import quantize_graph

from .detector import Detector
from .float_steps import proposals_of, regions_of
from .images import image_batches, prepared
from .kinds import Kind, Model, kind_of, without_layers
from .parts import IMAGES, REGIONS, parts_of

REGIONS_EACH = 64
"""Number of regions of each batch that the second part of Faster R-CNN is calibrated on, spread over all of them."""
_ANY_SIZE: Dynamic = {"images": {2: "height", 3: "width"}}


def quantize_detector(model: nn.Module, batches: Iterable[Any], config: QuantConfig | None = None) -> Detector:
    """Quantize a whole detector of torchvision: SSD, RetinaNet, FCOS or Faster R-CNN.

    Backbone and heads become int8 by the steps of :func:`fxpasses.quantize`; the transform of images, anchors, the
    decoding of boxes and non-maximum suppression stay the detector's own, in float.

    Args:
        model: in eval mode; it is not changed.
        batches: calibration data: lists of images ``[C, H, W]`` with values from 0 to 1, or a DataLoader of ``(images,
            targets)``. Images may have any sizes.
        config: defaults to ``QuantConfig()``.

    Raises:
        InputError: the model is no such detector, or there are no images.
        GraphError: in the same cases as :func:`fxpasses.quantize`.
    """
    kind, config = kind_of(model), config or QuantConfig()
    steps, parts, graphs = without_layers(model, kind), parts_of(model, kind), dict[str, fx.GraphModule]()
    if iter(batches) is batches:
        batches = list(batches)  # read more than once
    first = next(_tensors(steps, batches), None)
    if first is None:
        raise InputError("no batch of images", why="int8 needs ranges, measured on data", fix="give some images")
    # torchvision resizes for SSD to one size, for the others to sizes that depend on the image
    sizes = None if steps.transform.fixed_size is not None else _ANY_SIZE
    captured = capture(parts[IMAGES], first, dynamic=sizes)
    graphs[IMAGES] = quantize_graph(fuse(captured), _tensors(steps, batches), config).graph
    if kind is Kind.FASTER_RCNN:
        regions = list(_regions(steps, parts[IMAGES], batches))
        captured = capture(parts[REGIONS], regions[0])
        graphs[REGIONS] = quantize_graph(fuse(captured), regions, config).graph
    return Detector(model, kind, graphs)


def _tensors(steps: Model, batches: Iterable[Any]) -> Iterator[Tensor]:
    """The prepared tensor ``[B, C, H, W]`` of each batch."""
    for images in image_batches(batches):
        yield prepared(steps, images).batch.tensors


@torch.no_grad()
def _regions(steps: Model, part: nn.Module, batches: Iterable[Any]) -> Iterator[Tensor]:
    """Some of the regions of each batch, as the float detector crops them."""
    for images in image_batches(batches):
        given = prepared(steps, images)
        outputs = part(given.batch.tensors)
        proposals = proposals_of(steps, outputs["scores"], outputs["deltas"], given)
        step = max(1, sum(map(len, proposals)) // REGIONS_EACH)
        yield regions_of(steps, outputs["features"], [each[::step] for each in proposals], given)
