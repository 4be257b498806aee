"""Checks the kinds of tensors in a weight file: each is used unchanged, converted with a warning, or refused by name.

float16, bfloat16, float64 and sparse tensors are converted: they hold the same numbers. Complex, quantized, 8-bit and
whole numbers are no float weights, and would be misread.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fxpasses.errors import InputError

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)
_SPARSE = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
_SHOWN = 3


def plain_tensors(state: Mapping[str, Tensor], path: Path) -> OrderedDict[str, Tensor]:
    """Return the state dict with dense tensors only.

    Raises:
        InputError: a tensor has no values, or values that no dense tensor of real numbers has.
    """
    dense = OrderedDict[str, Tensor]()
    for name, value in state.items():
        why = _why_unusable(value)
        if why is None and value.layout in _SPARSE:
            value, why = _dense(value)
        if why is not None:
            raise InputError(
                f"{path}: cannot use the weight {name}", why=why, fix="save it as a dense tensor of float32"
            )
        dense[name] = value.detach()
    sparse = [name for name, value in state.items() if value.layout in _SPARSE]
    if sparse:
        warnings.warn(f"{path}: {_listed(sparse)} made dense", stacklevel=2)
    return dense


def as_the_model_has(state: OrderedDict[str, Tensor], module: nn.Module, path: Path) -> None:
    """Check dtypes against those of the module's own tensors; a warning lists converted weights.

    Raises:
        InputError: a weight is of another kind of number.
    """
    own, converted = module.state_dict(), dict[str, str]()
    for name, value in state.items():
        if name not in own or own[name].dtype == value.dtype:
            continue
        wanted = own[name].dtype
        safe = (wanted in _FLOATS and value.dtype in _FLOATS) or (
            wanted in _WHOLE and wanted != torch.bool and value.dtype in _WHOLE and _fits(value, wanted)
        )
        if not safe:
            raise InputError(
                f"{path}: the weight {name} is {_short(value.dtype)}",
                why=f"the model has {_short(wanted)} there, and the meaning of other numbers is unknown",
                fix="save the weights of the float model, as float32",
            )
        if wanted in _FLOATS:
            converted[name] = _short(value.dtype)
    if converted:
        kinds = " and ".join(sorted(set(converted.values())))
        warnings.warn(f"{path}: {_listed(list(converted))} converted from {kinds} to float32", stacklevel=2)


def why_not_metadata(versions: object) -> str | None:
    """Reason why the ``_metadata`` of a state dict does not hold versions of modules; None if it does."""
    if not isinstance(versions, Mapping):
        return f"it is a {type(versions).__name__}"
    for name, entry in versions.items():
        if not isinstance(name, str) or not isinstance(entry, Mapping):
            return f"its entry {name!r} is a {type(entry).__name__}"
        if not isinstance(entry.get("version"), int | None):
            return f"the version of {name!r} is {entry['version']!r}"
    return None


def _why_unusable(value: Tensor) -> str | None:
    if value.is_meta:
        return "it is on the meta device and has no values"
    if value.is_nested:
        return "it is a nested tensor"
    if value.is_quantized:
        return f"it is quantized ({_short(value.dtype)})"
    if value.dtype not in (*_FLOATS, *_WHOLE) and not value.is_complex():
        return f"it is {_short(value.dtype)}, whose scale is not in the file"
    if value.layout not in (torch.strided, *_SPARSE):
        return f"its layout is {_short(value.layout)}"
    return None


def _dense(value: Tensor) -> tuple[Tensor, str | None]:
    try:
        return value.to_dense(), None
    except RuntimeError as error:  # indices out of range
        return value, f"it is sparse, and damaged: {str(error).partition(chr(10))[0]}"


def _fits(value: Tensor, dtype: torch.dtype) -> bool:
    return bool((value.to(dtype).to(value.dtype) == value).all())


def _short(kind: torch.dtype | torch.layout) -> str:
    return str(kind).removeprefix("torch.")


def _listed(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
