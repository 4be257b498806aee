"""Quantization-aware training for the labs: from a float net and its data to an int8 net.

Labs have questions on it only if ``fxpasses.training`` exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses

HAS_TRAINING = Path(fxpasses.__file__).with_name("training").is_dir()
BATCH = 64
Batches = Callable[[int], Iterator[tuple[Tensor, Tensor]]]
"""Function from an epoch's number to its batches: inputs and labels."""


def trained_int8(
    net: nn.Module,
    calibration: Tensor,
    batches: Batches,
    steps: int,
    *,
    epochs: float,
    bits: int = 8,
    lr: float = 0.01,
) -> GraphModule:
    """Train a float net with weights and activations of ``bits`` bits; return the QUANTIZED graph.

    Args:
        net: trained in float; it is the teacher, and not changed.
        calibration: inputs for the initial ranges.
        batches: makes the batches of each epoch.
        steps: batches of an epoch.
        epochs: number of epochs.
        bits: bits of every layer, including the first and the last.
        lr: learning rate of weights; smaller for a net with large inputs or logits.
    """
    training: Any = import_module("fxpasses.training")
    config = training.TrainingConfig(weight_bits=bits, activation_bits=bits, end_bits=bits)
    int8: GraphModule = training.train_quantized(
        net,
        (calibration[:2],),
        batches,
        config,
        training.RunSettings(epochs=epochs, lr=lr),
        calibration=list(torch.split(calibration, BATCH)),
        steps_per_epoch=steps,
    )
    return int8


def batches_of(inputs: Tensor, labels: Tensor) -> tuple[Batches, int]:
    """Function that makes the whole batches of an epoch in an order fixed by its number, and the number of batches."""
    whole = len(labels) // BATCH * BATCH

    def of_epoch(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(epoch))[:whole]
        return ((inputs[part], labels[part]) for part in torch.split(order, BATCH))

    return of_epoch, whole // BATCH
