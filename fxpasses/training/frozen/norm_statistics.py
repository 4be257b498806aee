"""BatchNorm statistics of a TRAINING graph: estimate them again with the current rounding, or hold them.

Weights of few bits oscillate, so their running averages belong to no single state of the weights (Nagel et al. 2022,
arXiv:2203.11086). Averages over some batches at fixed weights belong to these weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import fx, nn

from ...graph.devices import on_device
from ...quantization.ranges.calibration import checked_batches
from ...signature.samples import count_samples
from ..fake.fake_quantize import ActivationQuantizer
from ..fake.trained_layer import TrainedLayer


def norms_of(gm: nn.Module) -> list[nn.Module]:
    """BatchNorms of the layers in training."""
    return [m.norm for m in gm.modules() if isinstance(m, TrainedLayer) and m.norm is not None]


def reestimate_statistics(gm: fx.GraphModule, batches: Iterable[Any]) -> int:
    """Set running statistics to plain averages over the batches, in place; return the number of samples.

    Raises:
        InputError: there is no batch, or one does not fit the graph.
    """
    norms, was_training, samples = norms_of(gm), gm.training, 0
    if not norms:
        return 0
    momenta = [norm.momentum for norm in norms]
    gm.eval()
    for norm in norms:
        norm.reset_running_stats()  # type: ignore[operator]  # a BatchNorm
        norm.train()
    device = next((p.device for p in gm.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            for number, inputs in enumerate(checked_batches(gm, batches)):
                for norm in norms:  # a plain average; None would have it read its count of batches, from a GPU as well
                    norm.momentum = 1.0 / (number + 1)  # type: ignore[assignment]
                gm(*on_device(inputs, device))
                samples += count_samples(gm, inputs)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        gm.train(was_training)
    return samples


def hold_statistics(gm: nn.Module) -> None:
    """Make BatchNorms use their running statistics in training, too; these and observed ranges no longer change."""
    for module in gm.modules():
        if isinstance(module, ActivationQuantizer) and not module.learned:
            module.hold()
        if isinstance(module, TrainedLayer) and module.norm is not None:
            module.norm_held.fill_(True)
            module.norm.eval()
