"""A whole detector of torchvision, trained on the pictures of shapes.py, quantized, and measured in both runtimes.

python docs/examples/shapes.py shapes
python docs/examples/detectors.py shapes            # one to two minutes on one core

It is torchvision's own SSD class with a small backbone. It writes ``shapes/ssd.pt`` (weights), which the command line
takes for ``docs/examples/detectors.py:ssd``, and ``shapes/ssd.int8.onnx`` (the whole detector).
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.detection import OnnxDetector
from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import UNIT_RANGE, ModelInput

SIZE, KINDS = 48, 2
BATCH, EPOCHS = 32, 30
Detections = list[dict[str, Tensor]]


class Backbone(nn.Module):
    """Feature maps of 1/4 and 1/8 of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(*self._block(3, 16, 2), *self._block(16, 32, 2), *self._block(32, 48, 1))
        self.second = nn.Sequential(*self._block(48, 64, 2), *self._block(64, 64, 1))
        self.out_channels = [48, 64]

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        first = self.first(images)
        return OrderedDict([("first", first), ("second", self.second(first))])


def ssd() -> nn.Module:
    """SSD for images of 48x48; label 0 is the background, 1 a disc, 2 a square."""
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD

    boxes = DefaultBoxGenerator([[], []], scales=[0.22, 0.3, 0.4])
    mean, std = [0.4] * 3, [0.2] * 3
    return SSD(Backbone(), boxes, (SIZE, SIZE), KINDS + 1, image_mean=mean, image_std=std, detections_per_img=20)


def targets_of(labels: Tensor) -> Detections:
    """Boxes and labels of each image as torchvision takes them, from ``[B, M, 5]`` with rows of class -1 as padding."""
    rows = [image[image[:, 0] >= 0] for image in labels]
    return [{"boxes": known[:, 1:], "labels": known[:, 0].long() + 1} for known in rows]


def shapes(folder: Path) -> SplitSource:
    """The pictures, with values from 0 to 1, and their boxes."""
    source = open_dataset(f"coco={folder}", ModelInput((3, SIZE, SIZE), UNIT_RANGE))
    assert isinstance(source, SplitSource)
    return source


def fit(source: SplitSource, epochs: int = EPOCHS) -> nn.Module:
    """Train by the losses that torchvision's class gives."""
    torch.manual_seed(0)
    model = ssd().train()
    steps = epochs * math.ceil(source.calibration_images / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), 0.003)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        for images, labels in source.training_batches(BATCH, epoch):
            optimizer.zero_grad()
            sum(model(list(images), targets_of(labels)).values()).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def mean_precision(detect: Callable[[list[Tensor]], Detections], source: SplitSource) -> float:
    """The mean average precision on the pictures held out, in percent."""
    from torchmetrics.detection import MeanAveragePrecision

    metric: Any = MeanAveragePrecision(backend="pycocotools")
    for images, labels in source.evaluation(BATCH, source.evaluation_images):
        with torch.no_grad():
            metric.update(detect(list(images)), targets_of(labels))
    return 100 * float(metric.compute()["map"])


if __name__ == "__main__":
    where = Path(sys.argv[1])
    data = shapes(where)
    model = fit(data)
    torch.save(model.state_dict(), where / "ssd.pt")
    detector = fx.quantize_detector(model, data.calibration(128))
    written = detector.to_onnx(where / "ssd.int8.onnx", (SIZE, SIZE))
    print(f"float                   mAP {mean_precision(model, data):.1f} %")
    print(f"int8 in PyTorch         mAP {mean_precision(detector, data):.1f} %")
    print(f"int8 in onnxruntime     mAP {mean_precision(OnnxDetector(written), data):.1f} %")
    (report,) = detector.parity(batch for batch, _ in data.evaluation(BATCH, 64)).values()
    print(report)
