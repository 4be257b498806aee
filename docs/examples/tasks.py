"""Three small nets for the pictures of shapes.py, each trained in less than a minute on one core.

python docs/examples/tasks.py segmenter shapes      # or regressor, or detector: writes shapes/segmenter.pt

``segmenter``, ``regressor`` and ``detector`` are factories for the command line: ``docs/examples/tasks.py:segmenter``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fxpasses.models.data.data_source import SplitSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import IMAGENET, InputShape, ModelInput

SHAPE: InputShape = (3, 48, 48)
BATCH = 32
Made = tuple[nn.Module, InputShape]


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A convolution, its BatchNorm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def backbone(*widths: int) -> nn.Sequential:
    """Blocks that halve the image."""
    pairs = zip((3, *widths), widths, strict=False)
    return nn.Sequential(*(block(a, b, 2) for a, b in pairs))


class Segmenter(nn.Module):
    """A U of two steps: logits ``[B, 3, H, W]`` for background, disc and square."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down, self.bottom = block(3, 16), block(16, 32, 2), block(32, 32, 2)
        self.middle, self.last = block(64, 32), block(48, 16)
        self.head = nn.Conv2d(16, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        down = self.down(first)
        deep = F.interpolate(self.bottom(down), scale_factor=2.0, mode="nearest")
        middle = F.interpolate(self.middle(torch.cat([deep, down], 1)), scale_factor=2.0, mode="nearest")
        logits: Tensor = self.head(self.last(torch.cat([middle, first], 1)))
        return logits


class Detector(nn.Module):
    """Of each cell of 8x8 pixels a box and two scores: ``[B, 4 + 2, cells]``, as ``--metric map`` reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*backbone(16, 32, 64), block(64, 64))
        self.boxes, self.scores = nn.Conv2d(64, 4, 1), nn.Conv2d(64, 2, 1)
        y, x = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
        self.register_buffer("corner", 8 * torch.stack([x, y]))

    def forward(self, images: Tensor) -> Tensor:
        features = self.body(images)
        near, size = self.boxes(features).sigmoid().chunk(2, 1)
        centre = 8 * near + self.corner
        found = torch.cat([centre, 48 * size, self.scores(features).sigmoid()], 1)
        return found.flatten(2)


def segmenter() -> Made:
    """See :class:`Segmenter`."""
    return Segmenter(), SHAPE


def regressor() -> Made:
    """The disc's centre ``[B, 2]``, as shares of width and height."""
    body = backbone(16, 32, 64)
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(64 * 36, 2)), SHAPE


def detector() -> Made:
    """See :class:`Detector`."""
    return Detector(), SHAPE


def detection_loss(found: Tensor, boxes: Tensor) -> Tensor:
    """Scores against the cells that hold a centre, and boxes in those."""
    wanted, weight = torch.zeros_like(found), torch.zeros_like(found[:, :1])
    for image, rows in enumerate(boxes):
        for kind, left, top, right, bottom in rows[rows[:, 0] >= 0].tolist():
            x, y = (left + right) / 2, (top + bottom) / 2
            cell = 6 * min(5, int(y / 8)) + min(5, int(x / 8))
            wanted[image, :4, cell] = torch.tensor([x, y, right - left, bottom - top])
            wanted[image, 4 + int(kind), cell] = weight[image, 0, cell] = 1.0
    scores = F.binary_cross_entropy(found[:, 4:], wanted[:, 4:], weight=1 + 9 * weight)
    return scores + ((found[:, :4] - wanted[:, :4]).abs() * weight).sum() / weight.sum() / 16


TASKS: dict[str, tuple[Callable[[], Made], str, Callable[[Tensor, Tensor], Tensor], int]] = {
    "segmenter": (segmenter, "segmentation={}", F.cross_entropy, 6),
    "regressor": (regressor, "csv={}/centres.csv", F.l1_loss, 30),
    "detector": (detector, "coco={}", detection_loss, 25),
}


def fit(task: str, folder: Path) -> nn.Module:
    """Train one of them on the pictures in a folder."""
    factory, data, loss, epochs = TASKS[task]
    torch.manual_seed(0)
    module, shape = factory()
    source = open_dataset(data.format(folder), ModelInput(shape, IMAGENET))
    assert isinstance(source, SplitSource)
    steps = epochs * math.ceil(source.calibration_images / BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), 0.003)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        for images, labels in source.training_batches(BATCH, epoch):
            optimizer.zero_grad()
            loss(module(images), labels).backward()
            optimizer.step()
            schedule.step()
    return module.eval()


if __name__ == "__main__":
    name, where = sys.argv[1], Path(sys.argv[2])
    torch.save(fit(name, where).state_dict(), where / f"{name}.pt")
