"""Binary linear layers in 2 bits: the same weights, in a file that onnxruntime runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from binary_nets import made
from tiny_graphs import skip_reasons
from torch import nn

import fxpasses
from fxpasses.binary.two_bits import TwoBitLinear, to_two_bits, two_bits
from fxpasses.errors import InputError
from fxpasses.export import to_onnx
from fxpasses.micronet.api import score
from fxpasses.precision.ops import unpacked

INT8_ROUNDING = 0.02
"""Tolerance relative to the largest output: activations are rounded to 127 steps in blocks, and errors of 784
products partly cancel.
"""


def test_levels_come_back_from_their_bits() -> None:
    levels = torch.randint(-1, 2, (3, 2, 32), generator=torch.Generator().manual_seed(0)).float()
    back = unpacked(two_bits(levels), torch.ones(3, 2), 64, 2)
    assert torch.equal(back.reshape(3, 2, 32), levels)


@pytest.mark.parametrize("method", [pytest.param("binaryconnect", marks=pytest.mark.slow), "twn"])
def test_it_computes_what_was_deployed(method: str, tmp_path: Path) -> None:
    found = made(method)
    deployed = fxpasses.fuse(found.deployed)
    lowered = to_two_bits(deployed)
    layers = [m for m in lowered.modules() if isinstance(m, TwoBitLinear)]
    assert len(layers) == 4
    with torch.no_grad():
        wanted = deployed(found.inputs)
        assert torch.allclose(lowered(found.inputs), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    file = to_onnx(lowered, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: found.inputs.numpy()})
    assert np.abs(given - wanted.numpy()).max() < INT8_ROUNDING * float(wanted.abs().max())
    first = score(lowered).rows[0].stored[0]
    assert (first.bits, first.kept) == (2, 28 * 28 * 32)


def test_other_layers_stay_float() -> None:
    lowered = to_two_bits(fxpasses.fuse(made("xnor").deployed))
    reasons = skip_reasons(lowered, "_LowerLevels")
    assert reasons["fc2"] == "its weights have more than three levels"
    assert "a convolution" in reasons["conv2"]


def test_a_graph_without_such_layers() -> None:
    graph = fxpasses.capture(nn.Sequential(nn.Linear(32, 4)).eval(), torch.randn(2, 32))
    with pytest.raises(InputError, match="more than three levels"):
        to_two_bits(graph)
