"""Weights from a file into a module: state dicts as ``.pt``/``.pth`` or ``.safetensors``, never code.

The whole file is checked against the module before the first value is copied, so a refused file changes nothing.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fxpasses.errors import InputError
from fxpasses.regular_files import require_regular

from .weight_kinds import as_the_model_has, plain_tensors, why_not_metadata

TORCH_SUFFIXES = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar")
WRAPPERS = ("state_dict", "model_state_dict", "model")
DATA_PARALLEL_PREFIX = "module."
NAMES_SHOWN = 3
PICKLE_MARK = 0x80
TORCH_PROTOCOL = 2


def load_weights(module: nn.Module, path: Path) -> None:
    """Copy every weight of the file into the module; names and shapes must match exactly.

    Accepted besides a plain state dict: one wrapped as ``{"state_dict": ...}`` and the ``module.`` prefix that
    ``DataParallel`` leaves. Raises :class:`InputError` and leaves the module untouched on anything else.
    """
    state = read_state_dict(path)
    as_the_model_has(state, module, path)
    problem = why_not_loadable(module, state)
    if problem:
        raise InputError(
            f"{path} does not fit {type(module).__name__}",
            why=problem,
            fix="use the weights of exactly this model, or the model of exactly these weights",
        )
    module.load_state_dict(state, strict=False)


def read_state_dict(path: Path) -> OrderedDict[str, Tensor]:
    """Names and tensors of a weight file, unwrapped; nothing in the file is executed."""
    require_regular(path, "give the path of a .pt, .pth or .safetensors file")
    if path.suffix == ".safetensors":
        return _unwrapped(_read_safetensors(path), path)
    if path.suffix in TORCH_SUFFIXES:
        return _unwrapped(_read_torch(path), path)
    raise InputError(
        f"cannot read weights from {path}",
        why=f"its ending is {path.suffix!r}",
        fix="give a .pt, .pth or .safetensors file with a state dict",
    )


def why_not_loadable(module: nn.Module, state: OrderedDict[str, Tensor]) -> str | None:
    """What keeps the state dict from loading strictly, in words; None when it fits."""
    own = module.state_dict()
    wrong = [
        f"{name} is {list(state[name].shape)}, the model has {list(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if wrong:
        return f"{len(wrong)} of {len(own)} weights have another shape: {_first(wrong)}"
    # The trial load goes through torch's own hooks, which rename keys of older files (ViT, BatchNorm counters).
    try:
        outcome = _skeleton(module).load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:  # a hook of a module makes nothing of the file's version
        return str(error).partition("\n")[0]
    missing = [name for name in outcome.missing_keys if not name.endswith("num_batches_tracked")]
    complaints = []
    if missing:
        complaints.append(f"{len(missing)} of {len(own)} weights are missing from the file: {_first(missing)}")
    if outcome.unexpected_keys:
        names = _first(list(outcome.unexpected_keys))
        complaints.append(f"{len(outcome.unexpected_keys)} weights in the file are unknown to the model: {names}")
    broken = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        complaints.append(f"{len(broken)} weights hold NaN or infinity: {_first(broken)}")
    return "; ".join(complaints) or None


def _skeleton(module: nn.Module) -> nn.Module:
    """The same module without storage: a copy whose tensors are on the meta device."""
    empty: dict[int, object] = {}
    for parameter in module.parameters():
        empty[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in module.buffers():
        empty[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, empty)


def _read_torch(path: Path) -> object:
    if _is_plain_pickle(path):
        raise _code(path)
    try:
        # torch warns before it refuses; the refusal says it all.
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
    """Whether the file begins as ``pickle.dump`` writes it; torch writes archives, and once wrote protocol 2."""
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


def _unwrapped(content: object, path: Path) -> OrderedDict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        found = "it is empty" if isinstance(content, Mapping) else f"it holds a {type(content).__name__}"
        raise InputError(
            f"{path} holds no state dict", why=found, fix="save it with torch.save(model.state_dict(), path)"
        )
    odd = [str(name) for name, value in content.items() if not isinstance(value, Tensor) or not isinstance(name, str)]
    if odd:
        raise InputError(
            f"{path} holds no state dict",
            why=f"these entries are not named tensors: {_first(odd)}",
            fix="save it with torch.save(model.state_dict(), path)",
        )
    if all(str(name).startswith(DATA_PARALLEL_PREFIX) for name in content):
        unprefixed = {str(name).removeprefix(DATA_PARALLEL_PREFIX): value for name, value in content.items()}
        return plain_tensors(unprefixed, path)
    state = plain_tensors({str(name): value for name, value in content.items()}, path)
    # Modules read from here which version wrote the file.
    versions = getattr(content, "_metadata", None)
    if versions is not None:
        problem = why_not_metadata(versions)
        if problem:
            fix = "save the tensors alone: torch.save(dict(model.state_dict()), path)"
            raise InputError(f"{path}: the _metadata of the state dict is damaged", why=problem, fix=fix)
        state._metadata = versions  # type: ignore[attr-defined]
    return state


def _first(names: list[str]) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
