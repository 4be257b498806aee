"""What a float graph became: a QUANTIZED graph, and what the report says of how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import fx

from fxpasses.sensitivity.placement import Placement
from fxpasses.training.training_run import CurvePoint


@dataclass(frozen=True)
class Int8Graphs:
    """A QUANTIZED graph, and, where its rounding was learned, the one rounded to nearest, to be measured beside it.

    Attributes:
        placement: where it was measured which operators are int8.
        training: where it was trained, its learning curve.
    """

    graph: fx.GraphModule
    nearest: fx.GraphModule | None = None
    placement: Placement | None = None
    training: Sequence[CurvePoint] = ()

    def details(self) -> dict[str, Any]:
        """What of it the report has."""
        found: dict[str, Any] = {"placement": self.placement.to_json()} if self.placement else {}
        return found | ({"training": [asdict(point) for point in self.training]} if self.training else {})
