"""LSTM and GRU with int8 weights and float products: the same floats in both runtimes, a quarter of the file size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lowered_nets import changed, reasons, sqnr_db
from recurrent_nets import recurrent_graph, sequences
from torch import nn

from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.export.pt2.lowered import load_lowered
from fxpasses.export.pt2.save_and_load import save
from fxpasses.measure.runners import onnx_runner
from fxpasses.precision.weight_only import WeightOnlyConfig, to_weight_only

FLOATS = WeightOnlyConfig(compute="float")
FLOAT_ROUNDING_DB = 110
"""Least SQNR of sums of hundreds of float32: about 130. Weights in another order, or of another scale, give less than
50.
"""


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        pytest.param(nn.GRU, {"bidirectional": True, "state": True}, marks=pytest.mark.slow),
        pytest.param(nn.LSTM, {"bidirectional": True, "num_layers": 2, "state": True}, marks=pytest.mark.slow),
        pytest.param(nn.LSTM, {"bias": False}, marks=pytest.mark.slow),
    ],
)
def test_both_runtimes_and_the_file_agree(kind: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    graph = recurrent_graph(kind, 96, **settings)
    lowered = to_weight_only(graph, FLOATS)
    assert changed(lowered) == ["layer", "last"]
    path = to_onnx(lowered, tmp_path / "model.onnx")
    save(lowered, tmp_path / "model.pt2")
    model = read_onnx(path)
    assert [n.op_type for n in model.graph.node].count(kind.__name__) == settings.get("num_layers", 1)
    assert model.ByteSize() < 0.35 * sum(4 * p.numel() for p in graph.parameters())
    for x in (sequences(), sequences(batch=4)):
        with torch.no_grad():
            expected, found = graph(x), lowered(x)
        assert sqnr_db(expected, found) > 30
        assert sqnr_db(found, onnx_runner(path, "int8")(x) + 1e-9) > FLOAT_ROUNDING_DB
        with torch.no_grad():  # ATen has another LSTM kernel where gradients are recorded
            assert torch.equal(load_lowered(tmp_path / "model.pt2")(x), found)


def test_without_a_state_and_steps_first() -> None:
    lowered = to_weight_only(recurrent_graph(nn.LSTM, 7), FLOATS)
    with torch.no_grad():
        assert sqnr_db(recurrent_graph(nn.LSTM, 7)(sequences()), lowered(sequences())) > 30


def test_four_bits_are_for_linear_layers() -> None:
    lowered = to_weight_only(recurrent_graph(nn.LSTM, 7), WeightOnlyConfig(bits=4))
    assert changed(lowered) == ["last"]
    assert "kept in 8 bits, not in 4" in reasons(lowered)["layer"]


def test_a_plain_rnn_stays_float() -> None:
    assert "a plain RNN" in reasons(to_weight_only(recurrent_graph(nn.RNN, 7)))["layer"]
