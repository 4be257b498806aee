"""Writes state dicts to files: ``.pt`` and ``.pth`` by torch, or ``.safetensors``. :mod:`.load` reads them."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from fxpasses.errors import InputError

SAFETENSORS = ".safetensors"
SUFFIXES = (".pt", ".pth", SAFETENSORS)


def check_weight_file(path: Path) -> None:
    """Raise InputError for a file type that is not supported for writing."""
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"cannot write weights to {path}",
            why=f"its ending is {path.suffix!r}",
            fix=f"name a {', '.join(SUFFIXES[:-1])} or {SAFETENSORS} file",
        )


def weights_as_bytes(module: nn.Module, suffix: str = ".pt") -> bytes:
    """Return the content of the file; in memory, because torch.save aborts the process when the disk is full."""
    if suffix == SAFETENSORS:
        from safetensors.torch import save

        return save(module.state_dict())
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    return buffer.getvalue()
