"""Search the divisors with the least predicted noise: first the best exponent per group, then gradient descent.

The exponents are eight points on a curve; the noise depends on each channel's divisor. Gradient descent removes some of
the noise that remains with the best exponents, nearly all of it in the few groups that hold several tensors: the
residual streams (docs/lab_notes.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .channel_noise import ChannelGroup

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
MARGIN = 1.1
"""Largest value that a clamped channel may reach, as a factor of the largest value measured."""
SMALLEST_DIVISOR = 2.0**-6
"""Smallest divisor: channels become at most 64 times wider, since calibration data shows little of tiny ones."""
STEPS, RATE = 40, 0.1
"""Steps and learning rate of Adam, on logarithms; the rate falls to zero."""
SMALL = 0.01
"""Smallest share of all noise for gradient descent; a group with less keeps its exponent."""


def best_divisors(groups: Sequence[ChannelGroup], *, descend: bool = True) -> list[Tensor]:
    """The divisors of each group with the least predicted noise, float64; ones if nothing helps.

    Gradients are computed, so this does not work in inference mode.

    Args:
        descend: whether to continue from the best exponent by gradient descent.
    """
    found = [_best_exponent(group) for group in groups]
    if not descend:
        return found
    noise = [float(group.noise(divisors)) for group, divisors in zip(groups, found, strict=True)]
    noisy = [i for i, own in enumerate(noise) if own > SMALL * sum(noise)]
    lower = _downhill([groups[i] for i in noisy], [found[i] for i in noisy]) if noisy else []
    for i, divisors in zip(noisy, lower, strict=True):
        found[i] = divisors
    return found


def _best_exponent(group: ChannelGroup) -> Tensor:
    tried = [torch.ones(len(group.labels), dtype=torch.float64), *(balanced_divisors(group, a) for a in ALPHAS)]
    return min(tried, key=lambda divisors: float(group.noise(divisors)))


def _downhill(groups: Sequence[ChannelGroup], starts: Sequence[Tensor]) -> list[Tensor]:
    """The best of some steps of Adam (Kingma and Ba 2015, arXiv:1412.6980) on the logarithms of the predicted noise.

    Groups are independent, so the gradient of the sum is the gradient of each.
    """
    with torch.enable_grad():
        logs = [start.log().requires_grad_() for start in starts]
        adam = torch.optim.Adam(logs, lr=RATE)
        falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, STEPS)
        best, least = list(starts), [float("inf")] * len(starts)
        for _ in range(STEPS):
            divisors = [_admitted(group, log.exp()) for group, log in zip(groups, logs, strict=True)]
            noise = torch.stack([group.noise(d) for group, d in zip(groups, divisors, strict=True)])
            for i, now in enumerate(noise.tolist()):
                if now < least[i]:
                    best[i], least[i] = divisors[i].detach(), now
            adam.zero_grad()
            noise.log().sum().backward()
            adam.step()
            falling.step()
    return best


def balanced_divisors(group: ChannelGroup, alpha: float) -> Tensor:
    """Divisors ``range ** alpha / weight ** (1 - alpha)``, float64, adjusted to clamps and fixed channels."""
    return _admitted(group, _balanced(group, alpha))


def _balanced(group: ChannelGroup, alpha: float) -> Tensor:
    r, w = torch.zeros_like(group.bound), torch.zeros_like(group.bound)
    for at, ranges in group.tensors:
        peaks = torch.maximum(ranges.high, -ranges.low)
        r = r.scatter_reduce(0, at, peaks / peaks.amax().clamp(min=1e-30), "amax")
    for reader in group.readers:
        if not reader.is_depthwise:
            relative = reader.widest / reader.widest.amax().clamp(min=1e-30)
            if len(reader.channel) == 1:
                relative = relative.amax(0)
            w = w.scatter_reduce(0, reader.channel.flatten(), relative.flatten().double(), "amax")
    w[w == 0] = 1.0  # read by nobody, or at no cost
    return r.clamp(min=1e-6) ** alpha / w ** (1 - alpha)


def _admitted(group: ChannelGroup, divisors: Tensor) -> Tensor:
    """The nearest divisors, up to a common factor, that do not change the effect of clamps, nor fixed channels."""
    divisors = (divisors / divisors.amax()).clamp(min=SMALLEST_DIVISOR)
    for at, ranges in group.tensors:
        least = (ranges.high * MARGIN / group.bound[at]).clamp(max=1.0)  # 0 where there is no bound
        divisors = divisors.scatter_reduce(0, at, least, "amax")
    return torch.where(group.fixed, 1.0, divisors)
