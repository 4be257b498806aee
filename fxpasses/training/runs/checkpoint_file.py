"""Checkpoints: one file, complete or not there, which is read without running any code in it.

A checkpoint is written under another name, flushed to the disk and renamed (:mod:`fxpasses.writing.atomic`): if the
process is killed or the disk is full, the last good one is still there. It is read with ``weights_only=True``, which
refuses everything but tensors and plain data.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import InputError
from ...writing.atomic import write_bytes_atomic

_MARK = "fxpasses training checkpoint"
FORMAT = f"{_MARK} 2"
"""Mark of the files that this version writes. 2: frozen layers have a learning rate by their bits."""


def fingerprint(module: nn.Module, *settings: object) -> str:
    """A hash by which a checkpoint is matched to its run: of the names and shapes of all tensors, and the settings."""
    lines = [f"{name} {tuple(value.shape)} {value.dtype}" for name, value in module.state_dict().items()]
    text = "\n".join([*lines, *map(repr, settings)])
    return hashlib.sha256(text.encode()).hexdigest()


def write_checkpoint(path: Path, content: dict[str, Any], made_of: str) -> None:
    """Write a checkpoint, which replaces the last one.

    Raises:
        InputError: it cannot be written; the last one is still there.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "made_of": made_of, **content}, buffer)
    try:
        write_bytes_atomic(path, buffer.getbuffer())
    except InputError as error:
        fix = "make room or choose another place, and resume: the last checkpoint is still there"
        raise InputError(f"cannot write the checkpoint {path}", why=error.why, fix=fix) from error


def read_checkpoint(path: Path, made_of: str) -> dict[str, Any]:
    """Read a checkpoint that :func:`write_checkpoint` wrote.

    Raises:
        InputError: there is no such file, it is torn or no checkpoint, or it is of another model or other settings.
    """
    try:
        content: Any = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except OSError as error:
        why, fix = str(error.strerror or error), "give the path of a checkpoint"
        raise InputError(f"cannot read the checkpoint {path}", why=why, fix=fix) from error
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(
            f"cannot read the checkpoint {path}",
            why="it is torn, or holds something else than tensors and plain data",
            fix="remove it and start again, or give one that is whole",
        ) from error
    found = _require_checkpoint(path, content)
    if found.get("made_of") != made_of:
        raise InputError(
            f"the checkpoint {path} is of another run",
            why="its model, bits or settings are others than those given now",
            fix="resume with the same model and settings, or give another checkpoint path",
        )
    return found


def _require_checkpoint(path: Path, content: Any) -> dict[str, Any]:
    found: dict[str, Any] = content if isinstance(content, dict) else {}
    mark = found.get("format")
    if isinstance(mark, str) and mark.startswith(_MARK) and mark != FORMAT:
        raise InputError(
            f"{path} is a checkpoint of another version",
            why=f"it says {mark!r}, and this version of fxpasses reads {FORMAT!r}",
            fix="start the training again, or end it with the version that began it",
        )
    if mark != FORMAT:
        raise InputError(
            f"{path} is no training checkpoint", why="it has no mark of one", fix="give the file that training wrote"
        )
    return found
