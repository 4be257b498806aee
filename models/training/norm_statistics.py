"""Chooses the BatchNorm statistics of a changed network: its own, or new ones, whichever give the better outputs.

New statistics are those of the activations that are left after pruning. But they may come from other images than the
network was trained with: if it was trained on images shifted over black, statistics of unshifted images can do more
harm than good. So several are tried, and the choice is the one with which the outputs are nearest to those of the
unchanged network, on images that no statistics were taken from.

The distance is the mean Kullback-Leibler divergence ``sum p log(p / q)`` of the class probabilities ``q`` from ``p``,
those of the reference. For outputs that are no logits ``[B, classes]`` it is the squared error relative to the square
of the reference's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .fine_tuning import BATCH_NORMS, reestimate_batch_norm

KEPT = "kept"
Batches = Callable[[], Iterable[Any]]
"""Function that returns the same batches ``[B, ...]``, or tuples of them, each time it is called."""


def choose_statistics(
    module: nn.Module, reference: nn.Module, candidates: Mapping[str, Batches], held_out: Batches
) -> dict[str, float]:
    """Give every BatchNorm, in place, the statistics with which the outputs are nearest to the reference's.

    Args:
        module: in eval mode; only its running statistics are changed.
        reference: the network it should agree with, in eval mode.
        candidates: images to take statistics from, by a name for them.
        held_out: images to measure the distance on.

    Returns:
        Distance of each candidate, the nearest first; :data:`KEPT` names the statistics the module came with. Empty if
        it has no BatchNorm: then nothing is run.

    Raises:
        InputError: a candidate gave no batch.
    """
    norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
    if not norms:
        return {}
    with torch.no_grad():
        expected = [leading_output(reference, inputs) for inputs in held_out()]
    tried = {KEPT: _buffers(norms)}
    distances = {KEPT: distance(module, expected, held_out())}
    for name, batches in candidates.items():
        reestimate_batch_norm(module, batches())
        tried[name], distances[name] = _buffers(norms), distance(module, expected, held_out())
    ranked = dict(sorted(distances.items(), key=lambda pair: pair[1]))
    for norm, buffers in zip(norms, tried[next(iter(ranked))], strict=True):
        norm.load_state_dict(buffers, strict=False)
    return ranked


def leading_output(module: nn.Module, inputs: Any) -> Tensor:
    """First tensor in the output of a module for a tensor, or for a tuple of them."""
    found = module(*inputs) if isinstance(inputs, tuple) else module(inputs)
    first: Tensor = next(x for x in pytree.tree_leaves(found) if isinstance(x, Tensor))
    return first


def distance(module: nn.Module, expected: Sequence[Tensor], held_out: Iterable[Any]) -> float:
    """Distance of the outputs from the expected ones; infinity if they are not finite."""
    apart = total = 0.0
    with torch.no_grad():
        for inputs, wanted in zip(held_out, expected, strict=True):
            found = leading_output(module, inputs)
            if wanted.dim() == 2 and wanted.shape[1] > 1:
                p, q = F.log_softmax(wanted.float(), 1), F.log_softmax(found.float(), 1)
                apart += float(F.kl_div(q, p, reduction="sum", log_target=True))
                total += len(wanted)
            else:
                apart += float((found.double() - wanted.double()).square().sum())
                total += float(wanted.double().square().sum())
    return apart / total if total and math.isfinite(apart) else math.inf


def _buffers(norms: Sequence[nn.Module]) -> list[dict[str, Tensor]]:
    return [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
