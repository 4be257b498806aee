"""A Hugging Face encoder, built from a configuration: docs/examples/bert.py through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import fxpasses_process

EXAMPLE = Path(__file__).resolve().parent.parent / "docs" / "examples" / "bert.py"
FLOAT_OPERATORS = {
    "layer_norm",
    "scaled_dot_product_attention",
    "embedding",
    "reshape",
    "transpose",
    "expand",
    "slice",
    "add",
}
"""Operators without an int8 form, operators that only move values, and the residual stream, which only LayerNorms read:
no linear layer is among them.
"""
LARGEST_LSB = 1
"""Largest difference in LSB after LayerNorm and softmax, which run in float: the runtimes round them differently."""
CLOSE_DB = 15.0
"""Least SQNR: random weights of ten times the usual spread give 21 dB; lost scales or swapped
tokens would give none.
"""


@pytest.mark.slow  # torch.export, and the whole pipeline in a process of its own
def test_it_is_quantized_exported_and_runs_alike_in_both_runtimes(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs Hugging Face's transformers (pip install transformers)")
    data = ("--data", f"{EXAMPLE}:tokens", "--calib", "32", "--eval", "32")
    done = fxpasses_process("quantize", f"{EXAMPLE}:build", *data, "--no-bench", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    parity = report["parity"]
    assert max(parity["max_lsb_at_any_node"], parity["max_lsb"]) <= LARGEST_LSB
    int8 = [variant for variant in report["variants"] if variant["precision"] == "int8"]
    assert {variant["runtime"] for variant in int8} == {"torch", "onnxruntime"}
    assert all(variant["vs_fp32"]["sqnr_db"] > CLOSE_DB for variant in int8)
    assert {layer["operator"] for layer in report["layers"] if layer["precision"] == "float"} <= FLOAT_OPERATORS
