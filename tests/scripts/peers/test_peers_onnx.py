"""Images in the form that the ONNX quantizers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from peers.case import Case, write_case
from peers.onnx_quantizers import Batches, Images


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return write_case(tmp_path, "net", None, (np.full((2, 3), number, np.float32) for number in range(3)))


def test_images_come_one_by_one_and_again(case: Case) -> None:
    images = Images(case)
    for _ in range(2):
        assert [image.shape for image in images] == [(1, 3)] * 6
        assert [float(image[0, 0]) for image in images] == [0, 0, 1, 1, 2, 2]


def test_batches_in_ranges(case: Case) -> None:
    batches = Batches(case, "x")
    assert len(batches) == 3
    batches.set_range(1, 2)
    batch = batches.get_next()
    assert batch is not None and float(batch["x"][0, 0]) == 1
    assert batches.get_next() is None
