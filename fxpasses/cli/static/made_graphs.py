"""Result of a quantization: the int8 graphs, and the report's entries on how they were made."""

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
    """Result of the quantization of a float model.

    Attributes:
        graph: FLOAT, fused.
        int8: QUANTIZED; and the graph rounded to nearest, if rounding was learned.
        images: number of calibration images.
        placement: measured choice of the operators in int8; None if it was not measured.
        training: the learning curve; empty without training.
    """

    graph: fx.GraphModule
    int8: Int8Graphs
    images: int
    placement: Placement | None = None
    training: Sequence[CurvePoint] = ()

    def details(self) -> dict[str, Any]:
        """Entries of report.json: placement and training, if there are any."""
        found: dict[str, Any] = {"placement": self.placement.to_json()} if self.placement else {}
        return found | ({"training": [asdict(point) for point in self.training]} if self.training else {})
