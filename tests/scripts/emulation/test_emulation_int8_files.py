"""Files under test: the contents of their folders, and the session options for onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from emulation.int8_files import (
    LARGE_NETS,
    RESNET20,
    TINY_NETS,
    Net,
    arrays_of,
    make_files,
)
from tiny_nets.all_nets import TINY

from fxpasses.measure.runners import onnx_runner

DIGITS = Net("digits", "digits_cnn", inputs=3, calibration=8, weights="digits.pt", data="cifar10=none")


def test_what_is_tried_is_what_was_promised() -> None:
    assert [net.spec in TINY for net in TINY_NETS] == [True] * 6
    assert (RESNET20.inputs, [net.inputs for net in LARGE_NETS]) == (50, [4, 4, 4])


def test_a_tiny_net_becomes_files(tmp_path: Path) -> None:
    net = TINY_NETS[1]
    (file,) = make_files(net, ["x86-avx2"], tmp_path, None)
    assert (file.name, file.needs, file.about) == ("tiny depthwise, x86-avx2", {}, "random weights, noise")
    assert sorted(p.name for p in file.folder.iterdir()) == ["exact.npz", "inputs.npz", "model.onnx", "model.pt2"]
    (inputs,), (exact,) = arrays_of(file.folder / "inputs.npz"), file.exact()
    assert len(inputs) == len(exact) == net.inputs
    session = onnx_runner(file.folder / "model.onnx", "int8").session
    (found,) = session.run(None, {session.get_inputs()[0].name: inputs})
    assert np.array_equal(found, exact), "7-bit weights saturate nowhere"


def test_data_that_is_not_there_is_noise(tmp_path: Path) -> None:
    (file,) = make_files(DIGITS, ["arm"], tmp_path, tmp_path / "no data")
    assert file.about == "random weights, noise"
