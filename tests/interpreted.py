"""Triton's interpreter instead of a GPU, for tests of the kernels."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

HAS_TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton has no build for this system")

_KERNELS = ("rounding", "conv_kernels", "byte_kernels", "matrix_kernels", "volume_kernels")


def load_kernels(monkeypatch: pytest.MonkeyPatch, *, interpreted: bool) -> None:
    """Load the kernels again, because TRITON_INTERPRET is only read when they are decorated."""
    monkeypatch.setenv("TRITON_INTERPRET", "1" if interpreted else "0")
    for name in _KERNELS:
        importlib.reload(importlib.import_module(f"fxpasses.export.engines.cuda.kernels.{name}"))
    monkeypatch.delenv("TRITON_INTERPRET")


def why_no_interpreter() -> str | None:
    """The reason for which kernels cannot be interpreted here, or None; to be asked where they are."""
    import interpreter_probe
    from triton.runtime.errors import InterpreterError

    out = torch.zeros(3, dtype=torch.int32)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        kernel = importlib.reload(interpreter_probe).count_up
    try:
        kernel[(1,)](out, 3)
    except InterpreterError as error:  # Triton 3.6 makes numbers of arrays of one element, which numpy 2.4 refuses
        return f"Triton's interpreter does not run with this numpy: {error}"
    assert out.tolist() == [0, 1, 2]
    return None


@contextmanager
def interpreted_kernels() -> Iterator[None]:
    """Run the kernels on the CPU until the end of the block, and restore the ordinary kernels after it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        load_kernels(monkeypatch, interpreted=True)
        try:
            yield
        finally:
            load_kernels(monkeypatch, interpreted=False)
