"""Operators that older opsets lack give the very numbers of opset 18, or are refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from older_models import OLDER, Array, older, one_node, operators, results

from fxpasses.errors import GraphError

RNG = np.random.default_rng(1)
X = (3 * RNG.standard_normal((2, 4, 6))).astype(np.float32)
SCALE, BIAS = (RNG.standard_normal(6).astype(np.float32) for _ in range(2))

KEPT: dict[str, tuple[str, list[Array | None], dict[str, Any], int]] = {
    "hard_swish": ("HardSwish", [X], {}, 14),
    "mish": ("Mish", [X], {}, 18),
    "cast_like": ("CastLike", [X, np.ones(1, np.int32)], {}, 15),
    "upper": ("Trilu", [X], {}, 14),
    "lower": ("Trilu", [X, np.array(-1, np.int64)], {"constants": 1, "upper": 0}, 14),
    "integers": ("Trilu", [X.astype(np.int64), np.array(1, np.int64)], {"constants": 1}, 14),
    "layer_norm": ("LayerNormalization", [X, SCALE, BIAS], {"constants": 2}, 17),
    "without_bias": ("LayerNormalization", [X, SCALE], {"constants": 1, "epsilon": 1e-3}, 17),
    "by_number": ("LayerNormalization", [X, SCALE, BIAS], {"constants": 2, "axis": 2}, 17),
}


@pytest.mark.parametrize("name", KEPT)
def test_the_same_numbers_in_every_older_opset(name: str) -> None:
    op_type, inputs, settings, since = KEPT[name]
    content = one_node(op_type, inputs, **settings)
    expected = results(content, inputs)
    for opset in OLDER:
        rewritten = older(content, opset)
        assert (op_type in operators(rewritten)) is (opset >= since)
        (found,) = results(rewritten, inputs)
        np.testing.assert_array_equal(found, expected[0], strict=True)


REFUSED = [
    ("LayerNormalization", [X, SCALE], {"outputs": 2}, "its means and deviations are read"),
    ("LayerNormalization", [X.astype(np.float16), SCALE.astype(np.float16)], {}, "it is of another type than float32"),
    ("LayerNormalization", [X, np.tile(SCALE, (4, 1))], {"axis": 1}, "norms of the last dimension alone"),
    ("Trilu", [X], {"free": True}, "the sizes of its matrices are not known"),
    ("Trilu", [X, np.array(1, np.int64)], {}, "its diagonal is computed"),
]


@pytest.mark.parametrize(("op_type", "inputs", "settings", "why"), REFUSED)
def test_what_is_refused(op_type: str, inputs: list[Array | None], settings: dict[str, Any], why: str) -> None:
    content = one_node(op_type, inputs, **settings)
    with pytest.raises(GraphError, match=why):
        older(content, 13)
