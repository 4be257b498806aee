"""The keyword net of lab 1: one convolution with kernels of 10x8, ReLU, and one linear layer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fxpasses.models.training.loop import TrainConfig, train
from speech.spoken_digits import CLASSES, SpokenDigits

CHANNELS, KERNEL, STRIDE, PADDING = 8, (10, 8), 2, (5, 3)
POSITIONS = 25 * 20
DROPOUT = 0.5
EPOCHS, BATCH, LR = 30, 100, 1e-3


class KeywordNet(nn.Module):
    """Net from ``[B, 1, 49, 40]`` to logits ``[B, classes]``."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, CHANNELS, KERNEL, STRIDE, PADDING)
        self.dropout = nn.Dropout(DROPOUT)
        self.linear = nn.Linear(CHANNELS * POSITIONS, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.conv(x)).flatten(1))
        logits: Tensor = self.linear(x)
        return logits


def trained_keyword_net(data: SpokenDigits, epochs: int = EPOCHS) -> KeywordNet:
    """Train the net for ``epochs`` epochs with Adam at 0.001, batches of 100."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = KeywordNet()

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(epoch))
        return ((data.inputs[indices], data.labels[indices]) for indices in torch.split(order, BATCH))

    train(net, batches, TrainConfig(epochs, LR, weight_decay=0.0), images_per_epoch=len(data.labels))
    return net
