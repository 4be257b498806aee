"""Invalid expressions of shapes are refused, quickly."""

from __future__ import annotations

import time

import pytest

from fxpasses.export.pt2_records.expressions import check_expressions
from fxpasses.export.pt2_records.records import RefusedError


@pytest.mark.parametrize(
    "text", ["s77", "2*s0 + 1", "Max(1, FloorDiv(s0, 2))", "Symbol('s77', integer=True)", "1.5*s0", "zuf3"]
)
def test_arithmetic_of_sizes(text: str) -> None:
    check_expressions({"a": [{"as_expr": {"expr_str": text, "hint": None}}]})


@pytest.mark.parametrize(
    "text", ["exit()", "s0.__class__", "__import__('os')", "s0; s1", "lambda: 0", "ｓ0", "s0[0]", None, 3]
)
def test_anything_else(text: object) -> None:
    with pytest.raises(RefusedError, match=r"with the expression .* is no graph of tensor operations; .*may run code"):
        check_expressions({"a": [{"as_expr": {"expr_str": text, "hint": None}}]})


def test_no_time_is_lost_over_a_long_one() -> None:
    begun = time.process_time()
    with pytest.raises(RefusedError):
        check_expressions({"expr_str": ".1111" * 1999 + "!"})
    assert time.process_time() - begun < 1
