"""Tables that need an entry for every operator: the list of places to edit when one is added."""

from __future__ import annotations

import pytest
import torch

from fxpasses.capturing.canonical import PIECES
from fxpasses.export.engines.reference import MOVES, STEPS
from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.graph.operators import Operator, Scaling, Trait
from fxpasses.micronet.work import PER_VALUE
from fxpasses.pruning.dependencies.rules import RULES
from fxpasses.quantization.int8.scales import WINDOWS
from fxpasses.quantization.repairs.channel_labels import RULES as CHANNEL_RULES

OPERATORS = list(VOCABULARY.by_name.values())


COUNTED_APART = {"matmul", "scaled_dot_product_attention", "embedding", "cat"}
"""Products whose lengths are counted, a look-up, and what moves values: in fxpasses/micronet/float_rows.py."""


def tables_without(operator: Operator) -> list[str]:
    """Files that have no entry for an operator."""
    computes = operator.scaling in (Scaling.OWN, Scaling.FIXED)
    by_table = operator.elementwise or operator.scaling is Scaling.SHARED or Trait.LOOKS_UP in operator.traits
    averages = Trait.AVERAGES in operator.traits
    moves = operator.scaling is Scaling.SHARED or operator.selects is not None
    forms = {Trait.JOINS, Trait.MULTIPLIES, Trait.LOOKS_UP} & operator.traits
    answers = {
        "fxpasses/graph/operator_table.py: onnx": bool(operator.onnx) or operator.name == "identity",
        "fxpasses/graph/operator_table.py: JOINS, MULTIPLIES or LOOKS_UP": (
            not computes or by_table or operator.weight_axis is not None or bool(forms)
        ),
        "fxpasses/quantization/int8/scales.py: WINDOWS": (Trait.AVERAGES in operator.traits)
        == (operator.name in WINDOWS),
        "fxpasses/capturing/canonical.py: PIECES": (Trait.SPLITS in operator.traits) == (operator.name in PIECES),
        "export/engines/reference.py: MOVES": moves == (operator.name in MOVES),
        "fxpasses/quantization/repairs/channel_labels.py: RULES": (
            bool(operator.layers)
            or operator.elementwise
            or Trait.KEEPS_CHANNELS in operator.traits
            or operator.name in CHANNEL_RULES
        ),
        "export/engines/reference.py: STEPS": not computes or by_table or operator.name in STEPS,
        "fxpasses/pruning/dependencies: RULES": operator.elementwise or operator.name in RULES,
        "fxpasses/micronet/work.py: PER_VALUE": (
            operator.name in PER_VALUE
            or operator.weight_axis is not None
            or operator.scaling is Scaling.SHARED
            or averages
            or Trait.MAXIMA in operator.traits
            or operator.name in COUNTED_APART
        ),
    }
    return [table for table, answered in answers.items() if not answered]


UNANSWERED = {
    "attention": "one opaque layer: capture opens it for everything that needs to look inside",
    "recurrent": "its channels stay, and its gates are listed as not counted",
    "chunk": "capture makes slices of it",
    "split": "capture makes slices of it",
    "unbind": "capture makes slices of it",
    "interpolate": "through float in the reference: neither runtime computes it on integers",
}
"""Operators that are missing in some table, each with the reason."""


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_every_table_knows_every_operator(operator: Operator) -> None:
    if operator.name not in UNANSWERED:
        assert tables_without(operator) == []


def test_a_new_operator_is_told_where_else() -> None:
    square = Operator("square", torch.square, scaling=Scaling.OWN, elementwise=True, onnx=("Mul",))
    assert tables_without(square) == ["fxpasses/micronet/work.py: PER_VALUE"]
    cumsum = Operator("cumsum", torch.cumsum, settings=("dim",), scaling=Scaling.OWN)
    assert tables_without(cumsum) == [
        "fxpasses/graph/operator_table.py: onnx",
        "fxpasses/graph/operator_table.py: JOINS, MULTIPLIES or LOOKS_UP",
        "fxpasses/quantization/repairs/channel_labels.py: RULES",
        "export/engines/reference.py: STEPS",
        "fxpasses/pruning/dependencies: RULES",
        "fxpasses/micronet/work.py: PER_VALUE",
    ]
    flip = Operator("flip", torch.flip, settings=("dims",), scaling=Scaling.SHARED, onnx=("Slice",))
    assert tables_without(flip) == [
        "export/engines/reference.py: MOVES",
        "fxpasses/quantization/repairs/channel_labels.py: RULES",
        "fxpasses/pruning/dependencies: RULES",
    ]
    median = Operator(
        "median_pool", torch.median, scaling=Scaling.OWN, traits=frozenset({Trait.AVERAGES, Trait.SPLITS})
    )
    assert {"fxpasses/quantization/int8/scales.py: WINDOWS", "fxpasses/capturing/canonical.py: PIECES"} <= {
        *tables_without(median)
    }


def test_traits_are_columns_of_the_table() -> None:
    assert {trait for operator in OPERATORS for trait in operator.traits} == set(Trait)
    assert Trait.ABSORBS in VOCABULARY.by_name["conv2d"].traits
    assert VOCABULARY.by_name["relu"].traits == {Trait.KEEPS_CHANNELS}
