"""Let transformers of ``torch.nn`` be captured whose attention mask is a tensor.

``nn.TransformerEncoder`` and ``nn.TransformerDecoder`` compare their mask with a causal one, and pass on whether it is.
During capture a mask has no values, so that the comparison fails. What they pass on is a hint: attention computes the
same without it, from the mask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch.nn.modules import transformer

_DETECT = "_detect_is_causal_mask"


@contextlib.contextmanager
def without_causal_hints() -> Iterator[None]:
    """Let no mask be looked at in the block; ``is_causal`` is true only where the caller says so."""
    found = getattr(transformer, _DETECT, None)
    if found is None:  # a private function of torch: without it nothing looks at masks
        yield
        return
    setattr(transformer, _DETECT, _as_told)
    try:
        yield
    finally:
        setattr(transformer, _DETECT, found)


def _as_told(_mask: Any, is_causal: bool | None = None, _size: int | None = None) -> bool:
    return is_causal is True
