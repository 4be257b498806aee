"""Rules by which operators that changed from opset 13 to 18 are written in an older opset.

The tables name every operator whose older form is known to mean the same; a node of any other one is refused. Rewrites
are exact, except that sums in a LayerNormalization are written as several operators, which onnxruntime fuses again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx_ir as ir

from . import expansions, rewrites
from .forms import why_not_taken, without_further


@dataclass(frozen=True)
class Rule:
    """The way of an operator into an older opset.

    Attributes:
        why_not: the reason why a node has no form in an opset; None if it has one.
        rewrite: gives the node that form.
    """

    why_not: Callable[[ir.Node, int], str | None]
    rewrite: Callable[[ir.Model, ir.Node, int], None]


def _same(**meant: Any) -> Rule:
    """The older form means the same if the attributes that it lacks have these values."""
    return Rule(partial(_taken, meant=meant), _dropped)


def _taken(node: ir.Node, opset: int, *, meant: Mapping[str, Any]) -> str | None:
    return why_not_taken(node, opset, meant)


def _dropped(model: ir.Model, node: ir.Node, opset: int) -> None:
    without_further(node, opset)


_FURTHER_TYPES = (
    *("Add", "CumSum", "Div", "Identity", "Mul", "Relu", "Sub"),  # 14
    "Pow",  # 15
    *("GreaterOrEqual", "If", "LeakyRelu", "LessOrEqual", "Loop", "PRelu", "Scan", "Where"),  # 16
)
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_FURTHER_TYPES, _same()),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _same(layout=0)),
    "BatchNormalization": _same(training_mode=0),
    "LpPool": _same(ceil_mode=0, dilations=None),
    "RoiAlign": _same(coordinate_transformation_mode="output_half_pixel"),
    **{f"Reduce{name}": Rule(rewrites.why_not_reduce, rewrites.reduce) for name in _REDUCTIONS},
    "Pad": Rule(rewrites.why_not_pad, rewrites.pad),
    "Reshape": Rule(rewrites.why_not_reshape, rewrites.reshape),
    "Resize": Rule(rewrites.why_not_resize, rewrites.resize),
    "ScatterElements": Rule(rewrites.why_not_scatter, _dropped),
    "ScatterND": Rule(rewrites.why_not_scatter, _dropped),
    "Shape": Rule(rewrites.why_not_shape, rewrites.shape),
    "Split": Rule(rewrites.why_not_split, rewrites.split),
    "CastLike": Rule(expansions.why_not_cast_like, expansions.cast_like),
    "HardSwish": Rule(expansions.why_not_unary, expansions.hard_swish),
    "LayerNormalization": Rule(expansions.why_not_layer_norm, expansions.layer_norm),
    "Mish": Rule(expansions.why_not_unary, expansions.mish),
    "Trilu": Rule(expansions.why_not_trilu, expansions.trilu),
}
"""Rules by operator; ``Identity`` of opset 14 and 16 differs for sequences alone, which no graph here has."""
