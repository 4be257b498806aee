"""What is minimised: labels, the float model's logits, and how far weights are from their integers.

Distillation (Hinton et al. 2015): ``(1 - w) CE(logits, labels) + w T^2 KL(teacher / T || logits / T)``.
Dampening (Nagel et al. 2022, "Overcoming Oscillations in Quantization-Aware Training", arXiv:2203.11086, section 4.1):
``lambda * ||clip(w) - q(w)||^2``, with ``lambda`` growing as half a cosine, pulls weights off the borders between two
integers, across which those of few bits swing from step to step.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..fake.trained_layer import TrainedLayer
from .run_settings import RunSettings

OSCILLATING_BITS = 4
"""From here down weights swing enough to matter (Nagel et al. 2022, table 5)."""
DAMPENING = 1e-2


def distilled_loss(logits: Tensor, labels: Tensor, taught: Tensor | None, settings: RunSettings) -> Tensor:
    """The loss of a batch; ``taught`` are the float model's logits, or None."""
    of_labels = F.cross_entropy(logits, labels)
    if taught is None:
        return of_labels
    t, w = settings.temperature, settings.distillation
    apart = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(taught / t, 1), reduction="batchmean", log_target=True)
    return (1 - w) * of_labels + w * t * t * apart


def dampening_loss(gm: nn.Module, *, every_layer: bool = True) -> Tensor:
    """The sum of squared distances of weights from their rounded values, of layers of at most 4 bits.

    Args:
        every_layer: False for depthwise layers alone, whose few weights make the statistics behind them swing.
    """
    terms = [
        layer.off_grid().square().sum()
        for layer in gm.modules()
        if isinstance(layer, TrainedLayer) and _oscillates(layer) and (every_layer or is_depthwise(layer))
    ]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def dampening_factor(settings: RunSettings, progress: float) -> float:
    """What :func:`dampening_loss` is multiplied by after that share of the open phase."""
    most = DAMPENING if settings.dampening is None else settings.dampening
    return most * (1 - math.cos(math.pi * min(1.0, progress))) / 2


def is_depthwise(layer: TrainedLayer) -> bool:
    """Whether each output channel of a convolution reads one input channel."""
    return layer.weight.dim() > 2 and layer.weight.shape[1] == 1 and int(layer.settings["groups"]) > 1


def _oscillates(layer: TrainedLayer) -> bool:
    return layer.grid.high < 1 << (OSCILLATING_BITS - 1)
