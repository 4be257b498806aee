"""Tensors of a ``.pt2`` archive, made from raw bytes; sizes and strides are checked against the number of bytes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from . import records
from .archive import CONFIGS, CONSTANTS, WEIGHTS, runs_code
from .names import attribute_path
from .records import RefusedError

DTYPES: dict[int, torch.dtype] = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    10: torch.complex64,
    11: torch.complex128,
    12: torch.bool,
    13: torch.bfloat16,
    28: torch.uint16,
}
"""Dtypes by torch's numbers, for the dtypes that our graphs have."""

_STRIDED = 7
_MOST_DIMENSIONS = 8
_MOST_REPEATED = 2**24
"""Largest number of elements of a tensor that repeats its memory with strides of 0, as ``expand`` gives it."""


def read_tensors(entries: dict[str, bytes]) -> dict[str, Tensor]:
    """Every parameter, buffer and constant by name; tensors that share memory in the file share it here, too."""
    tensors: dict[str, Tensor] = {}
    storages: dict[tuple[str, torch.dtype], Tensor] = {}
    for folder, kind in ((WEIGHTS, "weight_"), (CONSTANTS, "tensor_")):
        config = CONFIGS[folder]
        payloads = records.table(records.field(records.parsed(config, entries[config]), "config", config), config)
        for name, payload in payloads.items():
            where = f"{config}: {attribute_path(name, f'a tensor of {config}')}"
            if name in tensors:
                raise RefusedError(f"it is damaged: {where} is a weight and a constant")
            entry = _entry(payload, kind, where)
            if folder + entry not in entries:
                raise RefusedError(f"it is damaged: there is no {folder + entry}, which {where} reads")
            tensors[name] = _tensor(folder + entry, entries[folder + entry], payload, storages, where)
    return tensors


def _entry(payload: Any, kind: str, where: str) -> str:
    entry = records.text(records.field(payload, "path_name", where), where, 64)
    if records.truth(records.field(payload, "use_pickle", where), where) or entry.startswith(("custom_", "opaque_")):
        raise runs_code(entry, "a pickled object")
    if not entry.startswith(kind) or not (entry.isascii() and entry.removeprefix(kind).isdecimal()):
        raise runs_code(records.shown(entry), "no tensor")
    return entry


def _tensor(
    entry: str, data: bytes, payload: Any, storages: dict[tuple[str, torch.dtype], Tensor], where: str
) -> Tensor:
    meta = records.field(payload, "tensor_meta", where)
    dtype = dtype_of(records.field(meta, "dtype", where), where)
    require_cpu(records.field(meta, "device", where), where)
    if records.integer(records.field(meta, "layout", where), where) != _STRIDED:
        raise RefusedError(f"it is damaged: {where} is no dense tensor")
    sizes, strides = (_integers(records.field(meta, key, where), where) for key in ("sizes", "strides"))
    offset = _integer(records.field(meta, "storage_offset", where), where)
    if (entry, dtype) not in storages:
        storages[entry, dtype] = _flat(data, dtype, where)
    _check_extent(sizes, strides, offset, storages[entry, dtype].numel(), where)
    tensor = storages[entry, dtype].as_strided(sizes, strides, offset)
    if not records.truth(records.field(payload, "is_param", where), where):
        return tensor
    wanted = records.truth(records.field(meta, "requires_grad", where), where) and dtype.is_floating_point
    return nn.Parameter(tensor, requires_grad=wanted)


def _flat(data: bytes, dtype: torch.dtype, where: str) -> Tensor:
    """A whole entry, in memory of its own."""
    if len(data) % dtype.itemsize:
        raise RefusedError(f"it is damaged: {where} has {len(data)} bytes, which are no whole numbers")
    if dtype is torch.bool and data.translate(None, b"\0\1"):
        raise RefusedError(f"it is damaged: {where} holds truth values that are neither 0 nor 1")
    # cloned, so that torch aligns the memory for its kernels
    return torch.frombuffer(bytearray(data), dtype=dtype).clone() if data else torch.empty(0, dtype=dtype)


def _check_extent(sizes: list[int], strides: list[int], offset: int, elements: int, where: str) -> None:
    if len(sizes) != len(strides):
        raise RefusedError(f"it is damaged: {where} has {len(sizes)} sizes and {len(strides)} strides")
    count = 1
    for size in sizes:
        count *= size
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    repeated = 0 in strides and count <= _MOST_REPEATED
    if count and (last >= elements or (count > elements and not repeated)):
        raise RefusedError(f"it is damaged: {where} is larger than the {elements} elements the archive has for it")


def dtype_of(value: object, where: str) -> torch.dtype:
    number = records.integer(value, where)
    if number not in DTYPES:
        raise RefusedError(f"it is damaged: {where} has a dtype no saved graph has ({number})")
    return DTYPES[number]


def require_cpu(device: object, where: str) -> torch.device:
    """Check that a device is the CPU, where all graphs are saved."""
    index = records.table(device, where).get("index")
    if records.field(device, "type", where) != "cpu" or (index is not None and index != 0):
        raise RefusedError(f"it is damaged: {where} is not on the CPU")
    return torch.device("cpu")


def _integers(values: object, where: str) -> list[int]:
    found = records.items(values, where)
    if len(found) > _MOST_DIMENSIONS:
        raise RefusedError(f"it is damaged: {where} has {len(found)} dimensions")
    return [_integer(value, where) for value in found]


def _integer(value: object, where: str) -> int:
    kind, found = records.only(value, where)
    if kind != "as_int":
        raise RefusedError(f"it is damaged: the size of {where} is no number")
    return records.integer(found, where, 0, 2**40)
