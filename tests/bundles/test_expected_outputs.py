"""The test vector holds what exact arithmetic gives, of the pixels that were stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from bundle_folders import IMAGE, folder, graph

from fxpasses.bundles.expected_outputs import expected_outputs
from fxpasses.export import to_torch


def test_exact_outputs(tmp_path: Path) -> None:
    found = expected_outputs(graph(), folder() / "integers.npz", IMAGE)
    assert found.pixels is not None and torch.equal(IMAGE.normalized(found.pixels), found.inputs[0])
    assert torch.equal(found.outputs[0], to_torch(graph())(found.inputs[0]))
    expected = found.outputs[0]
    assert found.lsbs[0] == float(expected.max() - expected.min()) / 255
    found.write(tmp_path / "expected.npz")
    found.write(tmp_path / "again.npz")
    assert (tmp_path / "expected.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    with np.load(tmp_path / "expected.npz", allow_pickle=False) as file:
        assert np.array_equal(file["pixels_0"], found.pixels.numpy()) and file["lsb"].dtype == np.float64


def test_without_images(tmp_path: Path) -> None:
    found = expected_outputs(graph(), folder() / "integers.npz", None)
    assert found.pixels is None
    found.write(tmp_path / "expected.npz")
    with np.load(tmp_path / "expected.npz", allow_pickle=False) as file:
        assert "pixels_0" not in file.files
