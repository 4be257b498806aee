"""Forms of operators: what an older one takes, by attributes, inputs and types."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from int8_files import model_of
from older_models import one_node

from fxpasses.export.older_opsets.forms import (
    BASE,
    form,
    further_attributes,
    is_same_form,
    value_of,
    why_not_taken,
    without_further,
)
from fxpasses.export.onnx_writer.opsets import OLDER, OPSETS

X = np.ones((2, 3), np.float32)


def node(op_type: str, *inputs: np.ndarray, **settings: object) -> ir.Node:
    model = ir.from_proto(model_of(one_node(op_type, list(inputs), **settings)))  # type: ignore[arg-type]  # attributes
    return next(iter(model.graph))


def test_models_are_rewritten_from_the_first_opset_that_the_exporter_writes() -> None:
    assert OPSETS[0] == BASE
    assert list(OLDER) == [13, 14, 15, 16, 17]


def test_forms_of_an_operator() -> None:
    found = form("LayerNormalization", 17)
    assert found is not None and found.since_version == 17
    assert form("LayerNormalization", 16) is None
    assert is_same_form("MatMul", 13) and is_same_form("HardSwish", 14)
    assert not is_same_form("HardSwish", 13) and not is_same_form("Nonsense", 13)


def test_attributes_that_an_older_form_lacks() -> None:
    assert further_attributes("Reshape", 13) == ["allowzero"]
    assert further_attributes("Reshape", 14) == []
    plain, other = node("LpPool", X, kernel_shape=[1]), node("LpPool", X, kernel_shape=[1], ceil_mode=1)
    assert (value_of(plain, "ceil_mode"), value_of(other, "ceil_mode"), value_of(plain, "dilations")) == (0, 1, None)
    assert value_of(node("RoiAlign", X), "coordinate_transformation_mode") == "half_pixel"
    without_further(other, 17)
    assert "ceil_mode" not in other.attributes and "kernel_shape" in other.attributes


def test_reasons_against_an_older_form() -> None:
    assert why_not_taken(node("Relu", X), 13, {}) is None
    assert why_not_taken(node("Relu", X.astype(np.int8)), 13, {}) == (
        "its input 0 is a tensor(int8), which it does not take there"
    )
    assert why_not_taken(node("Relu", X.astype(np.int8)), 14, {}) is None
    assert why_not_taken(node("HardSwish", X), 13, {}) == "opset 13 has no HardSwish"
    assert why_not_taken(node("LpPool", X, kernel_shape=[1], ceil_mode=1), 17, {"ceil_mode": 0, "dilations": None}) == (
        "its ceil_mode=1 has no counterpart there"
    )
    assert why_not_taken(node("RoiAlign", X), 15, {"coordinate_transformation_mode": "output_half_pixel"}) == (
        "its coordinate_transformation_mode=half_pixel has no counterpart there"
    )
    wide = node("ReduceMean", X, np.zeros(1, np.int64), noop_with_empty_axes=0)
    assert why_not_taken(wide, 17, {"noop_with_empty_axes": 0}) == "it has 2 inputs, and 1 there"
