"""Check that the kernels of this engine can run: with Triton on a new enough GPU, or in Triton's interpreter.

Triton is looked for only if this engine is requested. On systems without Triton everything else works.
"""

from __future__ import annotations

import importlib.util

import torch

from fxpasses.errors import InputError

OLDEST = (8, 0)
"""Compute capability of the first GPUs whose int8 tensor cores Triton compiles for (A100)."""

_ENGINE = "engine 'cuda'"
_ELSEWHERE = "engine='reference' computes the same integers on any machine"


def why_no_kernels() -> str | None:
    """Why the kernels cannot run on this machine's GPU, as a sentence; None if they can."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed: pip install triton, on Linux"
    if not torch.cuda.is_available():
        return "torch finds no NVIDIA GPU: it needs a driver, and a build of torch with CUDA"
    return _why_too_old(torch.device("cuda"))


def require_kernels(device: torch.device) -> None:
    """Raise InputError where this engine cannot compute on ``device``."""
    if importlib.util.find_spec("triton") is None:
        raise InputError(
            _ENGINE,
            why="its kernels are written in Triton, which is not installed",
            fix=f"pip install triton; {_ELSEWHERE}",
        )
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise InputError(
                f"device {str(device)!r}",
                why="torch finds no NVIDIA GPU on this machine",
                fix=f"run it where nvidia-smi lists one, with a build of torch that has CUDA; {_ELSEWHERE}",
            )
        why = _why_too_old(device)
        if why is not None:
            raise InputError(f"device {str(device)!r}", why=why, fix=_ELSEWHERE)
    elif device.type != "cpu" or not is_interpreted():
        raise InputError(
            f"device {str(device)!r} for {_ENGINE}",
            why="its kernels run on NVIDIA GPUs",
            fix=f"device='cuda'; {_ELSEWHERE}",
        )


def is_interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on the CPU: TRITON_INTERPRET decides it as they are loaded."""
    from triton.runtime.interpreter import InterpretedFunction

    from .kernels import conv_kernels

    return isinstance(conv_kernels.conv_gemm, InterpretedFunction)


def _why_too_old(device: torch.device) -> str | None:
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) >= OLDEST:
        return None
    name = torch.cuda.get_device_name(device)
    return f"{name} has compute capability {major}.{minor}, and the int8 kernels need {OLDEST[0]}.{OLDEST[1]} or newer"
