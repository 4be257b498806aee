"""Training in several processes, as ``torchrun`` starts them: one set of calibration samples, and averaged gradients.

Every process prepares the same graph from the same samples: those of all processes, in the order in which one process
would read them if process ``r`` of ``n`` has every ``n``-th batch from the ``r``-th on. So ranges, histograms and all
else that depends on samples are those of one process, bit for bit. Without a process group these functions do nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..errors import InputError


def processes() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes files and prints."""
    return processes() == 1 or dist.get_rank() == 0


def samples_of_all(batches: Sequence[Any]) -> list[Any]:
    """Return the batches of all processes, in turn: the first of each, the second of each, and so on.

    Raises:
        InputError: processes have different numbers of batches, or batches of other shapes.
    """
    count = processes()
    if count == 1:
        return list(batches)
    _require_alike([len(batches)], "batches")
    found: list[list[Any]] = []
    for batch in batches:
        leaves, structure = pytree.tree_flatten(batch)
        gathered = [_gathered(leaf) if isinstance(leaf, Tensor) else [leaf] * count for leaf in leaves]
        found.append([pytree.tree_unflatten([g[r] for g in gathered], structure) for r in range(count)])
    return [batch for of_all in found for batch in of_all]


def _gathered(value: Tensor) -> list[Tensor]:
    _require_alike(list(value.shape), "shapes of batches")
    found = [torch.empty_like(value) for _ in range(processes())]
    dist.all_gather(found, value.contiguous())
    return found


def _require_alike(numbers: list[int], what: str) -> None:
    mine = torch.tensor([len(numbers), *numbers, *[0] * (8 - len(numbers))], dtype=torch.int64)
    all_of_them = [torch.empty_like(mine) for _ in range(processes())]
    dist.all_gather(all_of_them, mine)
    check_alike([other.tolist() for other in all_of_them], what)


def check_alike(numbers: Sequence[Sequence[int]], what: str) -> None:
    """Raise :class:`InputError` if processes have calibration data with different counts or shapes."""
    if any(of_one != numbers[0] for of_one in numbers):
        raise InputError(
            f"calibration data of {len(numbers)} processes",
            why=f"their {what} differ",
            fix="give each process as many batches, of the same shape: drop_last=True",
        )


def average_gradients(module: nn.Module) -> None:
    """Replace each gradient by its mean over the processes, which is the same in every process."""
    if processes() == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= processes()
