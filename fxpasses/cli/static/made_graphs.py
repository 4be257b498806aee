"""What a float model became: its int8 graphs, and what the report says of how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import fx

from fxpasses.quantization.recipe import Int8Graphs
from fxpasses.sensitivity.search.placement import Placement
from fxpasses.training.runs.training_run import CurvePoint


@dataclass(frozen=True)
class Quantized:
    """What came of a float model.

    Attributes:
        graph: FLOAT, fused.
        int8: QUANTIZED; and the graph rounded to nearest, where rounding was learned.
        images: calibration images.
        placement: where it was measured which operators are int8.
        training: where it was trained, its learning curve.
    """

    graph: fx.GraphModule
    int8: Int8Graphs
    images: int
    placement: Placement | None = None
    training: Sequence[CurvePoint] = ()

    def details(self) -> dict[str, Any]:
        """What of it the report has."""
        found: dict[str, Any] = {"placement": self.placement.to_json()} if self.placement else {}
        return found | ({"training": [asdict(point) for point in self.training]} if self.training else {})
