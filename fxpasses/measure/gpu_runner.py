"""A runner on an NVIDIA GPU: it copies inputs to the GPU and logits back; times are measured by the GPU."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from fxpasses.graph.devices import on_device
from fxpasses.signature.outputs import tensors_of

from .runners import TORCH, first_tensor


@dataclass(frozen=True)
class GpuRunner:
    """An ``nn.Module`` whose parameters are on ``device``, in eval mode; threads of the CPU do not matter to it."""

    module: nn.Module = field(repr=False)
    precision: str
    device: torch.device
    threads: int = 1
    name: str = ""
    runtime: str = TORCH

    def __call__(self, *inputs: Tensor) -> Tensor:
        with torch.inference_mode():
            return first_tensor(self.module(*on_device(inputs, self.device)), self.name).cpu()

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            made = self.module(*on_device(inputs, self.device))
        return tuple(x.cpu() for x in tensors_of(made))

    def at_threads(self, threads: int) -> GpuRunner:
        return replace(self, threads=threads)

    def nanoseconds(self, inputs: tuple[Tensor, ...], calls: int) -> tuple[int, ...]:
        """Times of ``calls`` calls in nanoseconds, by CUDA events; copying the inputs to the GPU is not counted."""
        there = on_device(inputs, self.device)
        with torch.inference_mode():
            self.module(*there)
            marks = [torch.cuda.Event(enable_timing=True) for _ in range(calls + 1)]
            marks[0].record()
            for mark in marks[1:]:
                self.module(*there)
                mark.record()
        marks[-1].synchronize()
        return tuple(round(1e6 * a.elapsed_time(b)) for a, b in pairwise(marks))


def gpu_runner(module: nn.Module, precision: str, device: torch.device, name: str | None = None) -> GpuRunner:
    """A runner of a module, which is moved to the GPU, with images channels last, and set to eval mode."""
    module = module.to(device=device).eval()
    return GpuRunner(module, precision, device, name=name or f"{TORCH} {precision}")
