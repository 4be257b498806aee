"""Loads weights from a file into a module: checkpoints as ``.pt``/``.pth`` or ``.safetensors``, never code.

The whole file is checked against the module before the first value is copied, so a refused file changes nothing.
:mod:`.readings` finds the tensors of a checkpoint that belong to the model.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import torch
from torch import nn

from fxpasses.errors import InputError
from fxpasses.formats.regular_files import require_regular

from .kinds import as_the_model_has
from .readings import model_weights

TORCH_SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar")
PICKLE_MARK = 0x80
TORCH_PROTOCOL = 2


def load_weights(module: nn.Module, path: Path, key: str | None = None) -> None:
    """Copy every weight of the file into the module; names and shapes must match exactly.

    Checkpoints of trainings are accepted: weights under ``state_dict``, ``model``, ``params_ema`` or any other key,
    with ``module.``, ``_orig_mod.`` or any other prefix, if exactly one such reading fits; a warning names it.

    Args:
        module: gets the weights.
        path: path of the file.
        key: the reading to take if several fit, by the name that :class:`InputError` shows.

    Raises:
        InputError: no reading fits, or several with different values; the module is unchanged.
    """
    state = model_weights(read_checkpoint(path), module, path, key)
    as_the_model_has(state, module, path)
    module.load_state_dict(state, strict=False)


def read_checkpoint(path: Path) -> object:
    """Read the content of a weight file; nothing in it is executed."""
    require_regular(path, "give the path of a .pt, .pth or .safetensors file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in TORCH_SUFFIXES:
        return _read_torch(path)
    raise InputError(
        f"cannot read weights from {path}",
        why=f"its ending is {path.suffix!r}",
        fix="give a .pt, .pth or .safetensors file with a state dict",
    )


def _read_torch(path: Path) -> object:
    if _is_plain_pickle(path):
        raise _code(path)
    try:
        # torch warns before it refuses; the error of the refusal is enough.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Unsupported class" in str(error):
            raise _code(path) from error
        raise _corrupt(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        if "TorchScript" in str(error):
            raise InputError(
                f"refused to load {path}",
                why="it is a TorchScript archive: a program, not weights",
                fix="save its state_dict() instead",
            ) from error
        raise _corrupt(path, error) from error


def _is_plain_pickle(path: Path) -> bool:
    """Whether the file begins as ``pickle.dump`` writes it. torch writes archives, and formerly protocol 2."""
    with path.open("rb") as file:
        mark = file.read(2)
    return len(mark) == 2 and mark[0] == PICKLE_MARK and TORCH_PROTOCOL < mark[1] <= pickle.HIGHEST_PROTOCOL


def _code(path: Path) -> InputError:
    return InputError(
        f"refused to load {path}",
        why="it is a pickle with code in it, which loading would run",
        fix="where you trust the file, save its weights alone: torch.save(model.state_dict(), 'weights.pt')",
    )


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise _corrupt(path, error) from error


def _corrupt(path: Path, error: Exception) -> InputError:
    first_line = str(error).partition("\n")[0] or type(error).__name__
    size = path.stat().st_size
    return InputError(
        f"{path} is not a readable weight file",
        why=f"{size} bytes, and: {first_line}",
        fix="download or copy the file again",
    )
