"""An operation on the CPU, between others on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from ..kernel import Kernel


class OnHost(Kernel):
    """Another kernel, whose tensors are on the CPU: it waits for the GPU, and the GPU for it."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self._compute = kernel.function

    def forward(self, *inputs: Tensor) -> Tensor:
        device: torch.device = inputs[0].device
        y: Tensor = self._compute(*(q.cpu() for q in inputs))
        return y.to(device)
