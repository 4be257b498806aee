"""Weight files with every wrong kind of tensor, and damaged ones."""

from __future__ import annotations

import io
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from mutations import damaged
from torch import Tensor

State = dict[str, Any]
Change = Callable[[State], object]


def _each(make: Callable[[Tensor], object]) -> Change:
    """Apply a change to every float weight."""

    def change(state: State) -> object:
        return {name: make(value) if value.is_floating_point() else value for name, value in state.items()}

    return change


def _quantized(value: Tensor) -> Tensor:
    return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)


def _with_metadata(metadata: object) -> Change:
    def change(state: State) -> object:
        changed = OrderedDict(state)
        changed._metadata = metadata  # type: ignore[attr-defined]  # as torch writes it
        return changed

    return change


CONVERTED: dict[str, Change] = {
    "half": _each(lambda value: value.half()),
    "bfloat16": _each(lambda value: value.bfloat16()),
    "double": _each(lambda value: value.double()),
    "sparse": _each(lambda value: value.to_sparse()),
    "sparse rows": _each(lambda value: value.to_sparse_csr() if value.dim() == 2 else value),
    "views with strides": _each(lambda value: torch.stack([value, value], -1)[..., 0]),
    "expanded": _each(lambda value: value.flatten()[0].expand(value.shape)),
    "parameters": _each(torch.nn.Parameter),
}
"""Changes that are accepted, with a warning if numbers change."""

REFUSED: dict[str, Change] = {
    "complex": _each(lambda value: value.to(torch.complex64)),
    "int64": _each(lambda value: value.to(torch.int64)),
    "int8": _each(lambda value: value.to(torch.int8)),
    "bool": _each(lambda value: value > 0),
    "fp8": _each(lambda value: value.to(torch.float8_e4m3fn)),
    "fp8 of another kind": _each(lambda value: value.to(torch.float8_e5m2)),
    "quantized": _each(_quantized),
    "nested": _each(lambda value: torch.nested.nested_tensor([value, value])),
    "meta": _each(lambda value: value.to("meta")),
    "without a dimension": _each(lambda value: value.sum()),
    "without elements": _each(lambda value: value.flatten()[:0]),
    "NaN": _each(lambda value: value * float("nan")),
    "infinite": _each(lambda value: value / 0),
    "infinite as half": _each(lambda value: (value * 0 + 1e6).half()),
    "transposed": _each(lambda value: value.transpose(0, -1)),
    "texts": _each(lambda value: "x"),
    "None": _each(lambda value: None),
    "lists": _each(lambda value: value.tolist()),
    "numbers as names": lambda state: dict(enumerate(state.values())),
    "pairs as names": lambda state: {(name, 0): value for name, value in state.items()},
    "other names": lambda state: {f"{name}\ud800": value for name, value in state.items()},
    "a part only": lambda state: dict(list(state.items())[:3]),
    "nothing": lambda state: {},
    "a wrapper of a wrapper": lambda state: {"model": {"state_dict": {"model": state}}},
    "a wrapper of nothing": lambda state: {"state_dict": {}},
    "a list": lambda state: list(state.values()),
    "a tensor": lambda state: torch.zeros(3),
    "a number": lambda state: 3,
    "a text": lambda state: "weights",
    "metadata that is a number": _with_metadata(3),
    "metadata of numbers": _with_metadata({"": 3}),
    "a version that is a text": _with_metadata({"": {"version": "one"}}),
}
"""Changes that are refused by name."""


def file_of(content: object) -> bytes:
    """File as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prototypes of torch
        torch.save(content, buffer)
    return buffer.getvalue()


def damaged_files(content: bytes, count: int) -> Iterator[bytes]:
    """``count`` files with other bytes."""
    return (damaged(content, random.Random(seed)) for seed in range(count))
