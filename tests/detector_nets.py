"""Small detectors of torchvision's four classes with random weights whose scores differ, and images for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from made_once import made_once
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.detection import Detector
from fxpasses.quantization.config import QuantConfig

CLASSES, WIDTH = 4, 32
QUICK = QuantConfig(observer="minmax", equalization=False, narrow_ranges=False)
"""Settings without repairs that take time."""
SMALL, LARGE = 64, 96


class Backbone(nn.Module):
    """Feature maps of 1/8 and 1/16 of the image."""

    def __init__(self, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 12), (12, 24), (24, WIDTH)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), norm(outputs), nn.ReLU()]
        self.first = nn.Sequential(*layers)
        self.second = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, 2, 1, bias=False), norm(WIDTH), nn.ReLU())
        self.out_channels: Any = WIDTH

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        first = self.first(images)
        return OrderedDict([("0", first), ("1", self.second(first))])


def _anchors() -> Any:
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    return AnchorGenerator(sizes=((16,), (32,)), aspect_ratios=((0.5, 1.0, 2.0),) * 2)


def ssd() -> Any:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD

    backbone = Backbone()
    backbone.out_channels = [WIDTH, WIDTH]
    boxes = DefaultBoxGenerator([[2], [2, 3]])
    return SSD(backbone, boxes, (LARGE, SMALL), CLASSES, detections_per_img=30, topk_candidates=40)


def retinanet() -> Any:
    from torchvision.models.detection.retinanet import RetinaNet

    sizes = {"min_size": SMALL, "max_size": LARGE, "detections_per_img": 30, "topk_candidates": 50}
    return RetinaNet(Backbone(), CLASSES, anchor_generator=_anchors(), **sizes)


def fcos() -> Any:
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.fcos import FCOS

    places = AnchorGenerator(sizes=((8,), (16,)), aspect_ratios=((1.0,),) * 2)
    sizes = {"min_size": SMALL, "max_size": LARGE, "detections_per_img": 30, "topk_candidates": 50}
    return FCOS(Backbone(), CLASSES, anchor_generator=places, **sizes)


def faster_rcnn(norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> Any:
    from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign

    return FasterRCNN(
        Backbone(norm),
        min_size=SMALL,
        max_size=LARGE,
        rpn_anchor_generator=_anchors(),
        rpn_pre_nms_top_n_test=40,
        rpn_post_nms_top_n_test=20,
        box_roi_pool=MultiScaleRoIAlign(["0", "1"], 3, 2, canonical_scale=32),
        box_head=TwoMLPHead(WIDTH * 9, WIDTH),
        box_predictor=FastRCNNPredictor(WIDTH, CLASSES),
        box_detections_per_img=30,
    )


NETS: dict[str, Callable[[], Any]] = {
    "SSD": ssd,
    "RetinaNet": retinanet,
    "FCOS": fcos,
    "FasterRCNN": faster_rcnn,
}


@cache
def net(name: str) -> Any:
    """The float detector of a class, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NETS[name]().eval()
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=0.3)
    return model


def images(count: int = 2, size: tuple[int, int] = (SMALL, LARGE), seed: int = 0) -> list[Tensor]:
    """Random images with values from 0 to 1, coarse enough for a net to see something."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    return list(nn.functional.interpolate(coarse, size=size, mode="bilinear").clamp(0, 1))


def batches() -> list[list[Tensor]]:
    """Calibration data."""
    return [images(4, seed=seed) for seed in (1, 2)]


@cache
def int8(name: str) -> Detector:
    """The quantized detector of a class, made once."""
    return fx.quantize_detector(net(name), batches(), QUICK)


@cache
def file_of(name: str) -> Path:
    """The ONNX file of :func:`int8` for images of the size that no detector resizes, verified when it was written."""
    return made_once(f"{name}.detector.onnx", lambda path: int8(name).to_onnx(path, (SMALL, LARGE)))
