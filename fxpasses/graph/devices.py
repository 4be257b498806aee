"""The device that a graph computes on: looked up by name, with graphs and tensors moved there and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..errors import InputError


def named_device(name: str | torch.device) -> torch.device:
    """A device by its name; this machine need not have it.

    Raises:
        InputError: torch knows no such device.
    """
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise InputError(
            f"device {str(name)!r}", why="torch knows no device of that name", fix="use cuda, cuda:1 or cpu"
        ) from error


def usable_device(name: str | torch.device) -> torch.device:
    """The CPU or an NVIDIA GPU by its name.

    Raises:
        InputError: there is no device of that name, or not on this machine.
    """
    device = named_device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"device {str(name)!r}",
            why="torch finds no NVIDIA GPU on this machine",
            fix="use cpu, or run it where nvidia-smi lists a GPU, with a build of torch that has CUDA",
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {str(name)!r}",
            why=f"this machine has {torch.cuda.device_count()} GPUs, counted from 0",
            fix="use cuda:0, or the number of another",
        )
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {str(name)!r}", why="models run on the CPU or on NVIDIA GPUs", fix="use cuda or cpu")
    return device


@contextmanager
def moved(module: nn.Module, device: torch.device) -> Iterator[None]:
    """The module on a device inside the block, and on the CPU after it."""
    if device.type == "cpu":
        yield
        return
    module.to(device)
    try:
        yield
    finally:
        module.to("cpu")


@contextmanager
def without_tf32(device: torch.device) -> Iterator[None]:
    """Convolutions on a GPU in whole float32 inside the block: by default they round their inputs to 11 bits."""
    if device.type == "cpu":
        yield
        return
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def on_device(inputs: Any, device: torch.device) -> Any:
    """Nested values with all tensors moved to a device; copies do not wait for computations on it."""
    if device.type == "cpu":
        return inputs
    return pytree.tree_map(lambda x: _sent(x, device) if isinstance(x, Tensor) else x, inputs)


def _sent(x: Tensor, device: torch.device) -> Tensor:
    # a copy from memory that the system may move would wait for what the GPU has been asked before
    held = x.pin_memory() if device.type == "cuda" and x.device.type == "cpu" else x
    return held.to(device, non_blocking=True)
