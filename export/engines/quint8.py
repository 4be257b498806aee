"""Plain uint8 tensors and quint8 tensors over the same memory.

ATen's fastest byte kernels (packed convolutions, add, cat) take the deprecated quint8 dtype. Between two of them a
tensor stays quint8; all other kernels get plain uint8. Conversions copy only tiny tensors. If torch drops the dtype,
and on ARM, :func:`is_available` is false and the engine uses the kernels for plain tensors.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fxpasses.quantization.numbers.qparams import QParams

TINY = 1 << 12
"""Largest number of values that are copied: for so few a copy is faster than the two calls of a view."""


def is_available() -> bool:
    """Whether this torch still has quint8 and its kernels for x86.

    Builds for ARM compute add, averages and similar operators by QNNPACK's fixed-point arithmetic, which rounds
    differently.
    """
    has_kernels = hasattr(torch, "quint8") and hasattr(torch.ops.quantized, "conv2d")
    return has_kernels and "fbgemm" in torch.backends.quantized.supported_engines


def is_traced() -> bool:
    """Whether ``torch.jit.trace`` is recording; it cannot record memory that two tensors share."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]  # public, and not declared so


def as_quint8(q: Tensor, x: QParams) -> Tensor:
    """An integer tensor as quint8, over the same memory unless it is tiny; a quint8 tensor is returned as it is."""
    if q.dtype is torch.quint8:
        return q
    if q.numel() <= TINY and q.is_contiguous():
        return torch._make_per_tensor_quantized_tensor(q, x.scale, x.zero_point)
    return on_grid(q, x.scale, x.zero_point)


def on_grid(q: Tensor, scale: float, zero_point: int) -> Tensor:
    """An integer tensor as quint8 with other parameters, over the same memory; in a trace, a copy."""
    if is_traced():
        return torch._make_per_tensor_quantized_tensor(as_bytes(q), scale, zero_point)
    view = torch._empty_affine_quantized([0], scale=scale, zero_point=zero_point, dtype=torch.quint8)
    return view.set_(q.untyped_storage(), q.storage_offset(), q.shape, q.stride())


def as_bytes(q: Tensor) -> Tensor:
    """An integer tensor as plain uint8, over the same memory unless it is tiny."""
    if q.dtype is not torch.quint8:
        return q
    if (q.numel() <= TINY and q.is_contiguous()) or is_traced():
        return q.int_repr()
    plain = torch.empty(0, dtype=torch.uint8)
    return plain.set_(q.untyped_storage(), q.storage_offset(), q.shape, q.stride())


def without_dispatch(overload: Any) -> Any:
    """The C++ function of an operator overload, without the search of its arguments for Python overrides.

    That search is for tracing, in which these kernels do not take part; it costs microseconds, as much as a small
    layer.
    """
    return getattr(overload, "_op", overload)


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Trigger ATen's one deprecation warning now, while a module is built, and not at a user's first call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch._empty_affine_quantized([0], scale=1.0, zero_point=0, dtype=torch.quint8)
        yield


_PACKING = threading.Lock()


@contextlib.contextmanager
def packing_for(engine: str) -> Iterator[None]:
    """Pack weights for one of ATen's engines; the global setting is locked, changed, and restored afterwards."""
    with _PACKING:
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = engine
        try:
            with building():
                yield
        finally:
            torch.backends.quantized.engine = before
