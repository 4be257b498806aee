"""Compare int8 with float for each part of each output, and find parts that carry no information any more.

SQNR over all values of an output depends mostly on the largest ones: beside boxes in pixels, scores that are all 0
hardly change it. So every part that a concatenation or a stack at the end joins
(:mod:`fxpasses.quantization.int8.output_parts`) is compared with the same part in float. A warning is given for a part
below ``LEAST_DB``, and for a part that is constant but is not in float.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.quantization.int8.mixed_tensors import LEAST_DB
from fxpasses.quantization.int8.output_parts import OutputPart, output_parts
from fxpasses.signature.outputs import tensors_of
from fxpasses.sqnr import sqnr_db

_CHANGES = 1e-5
"""Smallest range of a part that is not constant up to float rounding, as a share of its largest value."""


@dataclass
class PartScore:
    """Comparison of a part of an output with float, over all samples so far."""

    part: OutputPart
    signal: float = 0.0
    noise: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    float_low: float = math.inf
    float_high: float = -math.inf

    def add(self, expected: Tensor, found: Tensor) -> None:
        """Add the float and the int8 values for some samples."""
        if not expected.numel() or expected.shape != found.shape:
            return
        a, b = expected.double(), found.double()
        self.signal += float(a.square().sum())
        self.noise += float((a - b).square().sum())
        self.low, self.high = min(self.low, float(b.min())), max(self.high, float(b.max()))
        self.float_low, self.float_high = min(self.float_low, float(a.min())), max(self.float_high, float(a.max()))

    @property
    def sqnr_db(self) -> float | None:
        """SQNR of the part; None without signal or without noise."""
        return sqnr_db(self.signal, self.noise)

    @property
    def became_constant(self) -> bool:
        """Whether the part is constant in int8, but not in float."""
        largest = max(abs(self.float_low), abs(self.float_high))
        return self.low == self.high and self.float_high - self.float_low > _CHANGES * largest

    @property
    def warning(self) -> str | None:
        """A sentence about the problem with the part; None if there is none."""
        told = "no SQNR" if self.sqnr_db is None else f"{self.sqnr_db:.1f} dB"
        if self.became_constant:
            return (
                f"{self.part} is {self.low:.4g} for every input in int8, and {self.float_low:.4g} to "
                f"{self.float_high:.4g} in float ({told}): {_remedy(self.part)}"
            )
        if self.sqnr_db is not None and self.sqnr_db < LEAST_DB:
            return f"{self.part} is far from float: {told}, with {LEAST_DB:g} at least wanted: {_remedy(self.part)}"
        return None

    def to_json(self) -> dict[str, Any]:
        return {
            "output": self.part.key,
            "part": self.part.where,
            "node": self.part.piece.node,
            "sqnr_db": self.sqnr_db,
            "became_constant": self.became_constant,
            "warning": self.warning,
        }


def _remedy(part: OutputPart) -> str:
    return f"look at what computes {part.piece.node} with fxpasses sensitivity, and keep that in float"


@torch.inference_mode()
def compare_outputs(
    float_graph: fx.GraphModule, int8: Callable[..., object], batches: Iterable[tuple[Any, ...]]
) -> list[PartScore]:
    """Compare every part of every floating point output.

    Args:
        float_graph: FLOAT, fused, from which the int8 model was made.
        int8: a model with the same outputs.
        batches: inputs of both.
    """
    scores: list[PartScore] | None = None
    for inputs in batches:
        expected, found = tensors_of(float_graph(*inputs)), tensors_of(int8(*inputs))
        if scores is None:
            scores = [PartScore(part) for part in output_parts(float_graph, len(expected))]
        for score in scores:
            a, b = score.part.of(expected), score.part.of(found)
            if a is not None and b is not None:
                score.add(a, b)
    return scores or []


def warnings_of(scores: Iterable[PartScore]) -> list[str]:
    """Sentences about the parts with problems."""
    return [told for score in scores if (told := score.warning) is not None]
