"""A file of an older opset with other numbers than that of opset 18 is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from older_models import one_node, same_numbers

from fxpasses.errors import GraphError

X = np.array([[0.5, -2.0, 3.0]], np.float32)
NEWER = one_node("HardSwish", [X])


def test_equal_results_pass(tmp_path: Path) -> None:
    same_numbers(tmp_path, NEWER, NEWER)
    same_numbers(tmp_path, NEWER, NEWER, X * np.float32("nan"))


def test_other_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"(?s)output 0 in opset 13.*other numbers than for opset 18.*use opset=18"):
        same_numbers(tmp_path, NEWER, one_node("Mish", [X]))


def test_one_bit_is_enough(tmp_path: Path) -> None:
    near = np.nextafter(np.float32(2), np.float32(3), dtype=np.float32)
    two, other = (one_node("Pow", [X, np.array(value, np.float32)], 1) for value in (np.float32(2), near))
    same_numbers(tmp_path, two, two, np.abs(X))
    with pytest.raises(GraphError, match="output 0"):
        same_numbers(tmp_path, two, other, np.abs(X))


def test_inputs_that_both_refuse_compare_nothing(tmp_path: Path) -> None:
    same_numbers(tmp_path, NEWER, NEWER, np.ones((1, 3), np.float64))
