"""Images in memory, or in files mapped into memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ArraySplit:
    """uint8 ``images`` ``[N, C, H, W]`` and int64 ``labels`` ``[N]``."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, indices: Tensor) -> Tensor:
        return self.images[indices]
