"""Makes a network with fresh weights behave like a trained one, as far as a test can notice.

A fresh BatchNorm is the identity, a fresh bias is zero and some heads start as all zeros: a pass that loses one of them
is not noticed. ``settle`` gives them random values, the same for the same seed. With ``example_inputs`` it measures the
running statistics in one forward pass, so that activations keep a variance near one at any depth. The module is changed
in place and left in eval mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
OTHER_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)

# A parameter whose values are all the same and below this is a placeholder (ViT's head is 0, ConvNeXt's layer scale
# 1e-6). Unchanged, it would hide errors in the layers before it.
PLACEHOLDER = 1e-3
NEGATIVE_GAMMAS = 0.2
# A channel that hardly varied on the few measured inputs would enlarge every other input without bound.
VARIANCE_FLOOR = 0.02


def settle(module: AnyModule, seed: int = 0, example_inputs: tuple[Tensor, ...] | None = None) -> AnyModule:
    """Give fresh norms, biases and placeholders random values; return the same module, in eval mode.

    ``example_inputs`` is one batch of at least two inputs. Without it the running statistics are random, too; this is
    enough for small nets but lets activations of very deep ones grow. With it, a net without any norm gets weights that
    keep the variance, because torch's own initialisation makes it fade.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            _settle_part(part, generator)
        module.eval()
        if example_inputs is None:
            return module
        if any(isinstance(part, BATCH_NORMS) for part in module.modules()):
            with _measuring(module):
                module(*example_inputs)
        elif not any(isinstance(part, OTHER_NORMS) for part in module.modules()):
            _strengthen(module, generator)
    return module


def _settle_part(part: nn.Module, generator: torch.Generator) -> None:
    if isinstance(part, BATCH_NORMS):
        _settle_batch_norm(part, generator)
    elif isinstance(part, OTHER_NORMS):
        for name, parameter in part.named_parameters(recurse=False):
            low, high = (-0.2, 0.2) if name == "bias" else (0.7, 1.3)
            parameter.uniform_(low, high, generator=generator)
    else:
        for name, parameter in part.named_parameters(recurse=False):
            _fill_placeholder(name, parameter, generator)


def _settle_batch_norm(norm: nn.Module, generator: torch.Generator) -> None:
    """Random gamma (some negative), beta, mean and variance, as trained nets have them."""
    weight, bias = norm.weight, norm.bias
    if isinstance(weight, Tensor) and isinstance(bias, Tensor):
        weight.uniform_(0.3, 1.0, generator=generator)
        flipped = torch.rand(weight.shape, generator=generator) < NEGATIVE_GAMMAS
        weight.copy_(torch.where(flipped, -weight, weight))
        bias.uniform_(-0.5, 0.5, generator=generator)
    mean, variance = norm.running_mean, norm.running_var
    if isinstance(mean, Tensor) and isinstance(variance, Tensor):
        mean.uniform_(-0.5, 0.5, generator=generator)
        variance.uniform_(0.5, 2.0, generator=generator)


def _fill_placeholder(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    first = parameter.flatten()[:1]
    if not first.numel() or first.abs().item() >= PLACEHOLDER or bool((parameter != first).any()):
        return
    if name.endswith("bias"):
        parameter.uniform_(-0.1, 0.1, generator=generator)
    elif parameter.squeeze().dim() <= 1:
        parameter.uniform_(0.1, 0.3, generator=generator)
    else:
        fan_in = parameter[0].numel()
        parameter.normal_(0.0, 1 / math.sqrt(fan_in), generator=generator)


def _strengthen(module: nn.Module, generator: torch.Generator) -> None:
    """Initialise weights with variance 2 / fan-in (He et al. 2015, "Delving Deep into Rectifiers")."""
    for part in module.modules():
        if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, generator=generator)


@contextmanager
def _measuring(module: nn.Module) -> Iterator[None]:
    """Make every BatchNorm take the statistics of the next batch; everything else stays in eval mode."""
    norms = [part for part in module.modules() if isinstance(part, BATCH_NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
            if isinstance(norm.running_var, Tensor):
                norm.running_var.clamp_(min=VARIANCE_FLOOR * float(norm.running_var.mean()))
