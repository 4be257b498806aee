"""Losses: of the labels, of the float model's logits, and of the distance of weights from their integers.

Distillation (Hinton et al. 2015): ``(1 - w) CE(logits, labels) + w T^2 KL(teacher / T || logits / T)``. Dampening
(Nagel et al. 2022, "Overcoming Oscillations in Quantization-Aware Training", arXiv:2203.11086, section 4.1):
``lambda * ||clip(w) - q(w)||^2``, with ``lambda`` growing as half a cosine, moves weights away from the borders between
two integers, across which weights of few bits oscillate from step to step.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..fake.trained_layer import TrainedLayer
from .run_settings import RunSettings

OSCILLATING_BITS = 4
"""Largest number of bits at which weights oscillate enough to matter (Nagel et al. 2022, table 5)."""
DAMPENING = 1e-2


def distilled_loss(logits: Tensor, labels: Tensor, taught: Tensor | None, settings: RunSettings) -> Tensor:
    """Loss of a batch; ``taught`` are the float model's logits, or None."""
    of_labels = F.cross_entropy(logits, labels)
    if taught is None:
        return of_labels
    t, w = settings.temperature, settings.distillation
    apart = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(taught / t, 1), reduction="batchmean", log_target=True)
    return (1 - w) * of_labels + w * t * t * apart


def dampening_loss(gm: nn.Module, *, every_layer: bool = True) -> Tensor:
    """Sum of squared distances of weights from their rounded values, in layers of at most 4 bits.

    Args:
        every_layer: False for depthwise layers alone; they have few weights, and so their statistics oscillate.
    """
    terms = [
        layer.off_grid().square().sum()
        for layer in gm.modules()
        if isinstance(layer, TrainedLayer) and _oscillates(layer) and (every_layer or is_depthwise(layer))
    ]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def dampening_factor(settings: RunSettings, progress: float) -> float:
    """Factor of :func:`dampening_loss` after a share of the open phase."""
    most = DAMPENING if settings.dampening is None else settings.dampening
    return most * (1 - math.cos(math.pi * min(1.0, progress))) / 2


def is_depthwise(layer: TrainedLayer) -> bool:
    """Whether each output channel of a convolution reads one input channel."""
    return layer.weight.dim() > 2 and layer.weight.shape[1] == 1 and int(layer.settings["groups"]) > 1


def _oscillates(layer: TrainedLayer) -> bool:
    return layer.grid.high < 1 << (OSCILLATING_BITS - 1)
