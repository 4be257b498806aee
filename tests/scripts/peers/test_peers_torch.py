"""PyTorch contestants write files from which the quantized model can be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peers.case import write_case
from peers.torch_quantizers import OUR_ONNX, load_case_model, load_ours, load_torch_ao, ours, torch_ao

from fxpasses.measure.accuracy import compare
from fxpasses.measure.runners import Runner, onnx_runner, torch_runner
from fxpasses.models.loaded_model import example_batch

CLOSE_DB = 20.0
"""Least SQNR: far above that of wrong scales, below the 25 dB and more of both contestants on this net."""


@pytest.mark.slow
def test_files_hold_the_quantized_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # theirs to set in a process of their own
    engine = torch.backends.quantized.engine
    images = example_batch(16, (1, 8, 8), seed=3)
    case = write_case(tmp_path, "digits_cnn", None, [batch.numpy() for batch in images.split(8)])
    try:
        ours(case)()
        torch_ao(case)()
        runners: list[Runner] = [
            torch_runner(load_case_model(case).module, "fp32", name="fp32"),
            torch_runner(load_ours(case), "int8", name="ours"),
            onnx_runner(tmp_path / OUR_ONNX, "int8", name="ours, onnx"),
            torch_runner(load_torch_ao(case), "int8", name="torch.ao"),
        ]
        found = compare(runners, [(images, None)])
    finally:
        torch.backends.quantized.engine = engine
    assert found["ours"].sqnr_db == found["ours, onnx"].sqnr_db
    assert all((found[name].sqnr_db or 0) > CLOSE_DB for name in ("ours", "torch.ao"))
