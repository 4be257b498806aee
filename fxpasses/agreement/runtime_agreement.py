"""Agreement of two runtimes on the logits of a model that does not compute on integers alone.

top1_agreement       images with the same highest logit, in percent
sqnr_db              10 log10(sum of a**2 / sum of (a - b)**2) over all logits, a of the first runtime
max_abs_difference   the largest difference of one logit
max_abs_logit        the largest logit, for comparison
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.measure.runners import Runner


@dataclass(frozen=True)
class RuntimeAgreement:
    """Content of report.json's ``runtime_agreement``; ``sqnr_db`` is None if all logits are equal."""

    images: int
    top1_agreement: float | None
    sqnr_db: float | None
    max_abs_difference: float
    max_abs_logit: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def runtime_agreement(
    first: Runner,
    second: Runner,
    batches: Iterable[Tensor | tuple[Tensor, ...]],
    progress: Callable[[int], None] | None = None,
    *,
    samples_dim: int = 0,
) -> RuntimeAgreement:
    """Run both runtimes on every batch and compare their logits.

    Args:
        batches: inputs ``[B, ...]``, or tuples of them.
        progress: called with the images of each batch.
        samples_dim: the dimension of the samples in the logits.

    Raises:
        InputError: there are no images.
    """
    images = agreeing = decisions = 0
    signal = noise = difference = largest = 0.0
    for inputs in batches:
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        a, b = (logits.double() for logits in (first(*given), second(*given)))
        a, b = (x.movedim(samples_dim, 0) if x.dim() > samples_dim else x for x in (a, b))
        images += len(a) if a.dim() else 1
        signal, noise = signal + float(a.square().sum()), noise + float((a - b).square().sum())
        difference, largest = max(difference, float((a - b).abs().max())), max(largest, float(a.abs().max()))
        if a.dim() > 1 and a.shape[1] > 1:
            decisions += a[:, 0].numel()
            agreeing += int((a.argmax(1) == b.argmax(1)).sum())
        if progress is not None:
            progress(len(a) if a.dim() else 1)
    if not images:
        raise InputError("cannot compare runtimes", why="there is not one image", fix="give at least one batch")
    sqnr = 10 * math.log10(signal / noise) if signal and noise else None
    return RuntimeAgreement(images, 100.0 * agreeing / decisions if decisions else None, sqnr, difference, largest)
