"""An operation on the CPU between operations on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from ..kernel import Kernel


class OnHost(Kernel):
    """Runs a kernel on the CPU: inputs are copied from the GPU, and the result is copied back; CPU and GPU wait."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self._compute = kernel.function

    def forward(self, *inputs: Tensor) -> Tensor:
        device: torch.device = inputs[0].device
        y: Tensor = self._compute(*(q.cpu() for q in inputs))
        return y.to(device)
