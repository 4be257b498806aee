"""Tests of this folder run the kernels in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from interpreted import HAS_TRITON, interpreted_kernels


@pytest.fixture(scope="module", autouse=True)
def interpreter() -> Iterator[None]:
    """The interpreter, while a file's tests run."""
    if not HAS_TRITON:
        pytest.skip("Triton has no build for this system")
    with interpreted_kernels():
        yield
