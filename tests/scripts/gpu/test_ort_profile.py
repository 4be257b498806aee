"""Profiles of onnxruntime on the CPU: a Q/DQ file runs in int8, and in float where pairs are not fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from gpu.ort_profile import kernels_of, profiled
from tiny_graphs import fresh_inputs, quantized
from tiny_nets.all_nets import TINY

import fxpasses

NET = "conv_bn_relu"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fxpasses.export.to_onnx(quantized(NET), tmp_path_factory.mktemp("profile") / "net.onnx", verify=False)


def profile(file: Path, tmp_path: Path, *, optimized: bool) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    if not optimized:  # Q/DQ pairs are not fused: every operator computes in float, as where there is no kernel
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    (x,) = fresh_inputs(TINY[NET], 1)
    feed = {session.get_inputs()[0].name: x.numpy()}
    found = profiled(session, lambda: session.run(None, feed))
    assert not list(tmp_path.iterdir()), "the profile is removed"
    session.run(None, feed)  # and off
    assert not list(tmp_path.iterdir())
    return found


def test_fused_pairs_run_in_int8(file: Path, tmp_path: Path) -> None:
    found = profile(file, tmp_path, optimized=True)
    assert sum(found["int8"].values()) == 1 and "QLinearConv" in found["int8"] and not found["opaque"]
    assert found["said"].startswith("1 nodes ran in int8, 0 in float")
    assert set(found["providers"]) == {"CPUExecutionProvider"}


def test_pairs_that_are_not_fused_run_in_float(file: Path, tmp_path: Path) -> None:
    found = profile(file, tmp_path, optimized=False)
    assert not found["int8"] and found["float"]["Conv"] == 1
    assert found["said"].startswith("nothing ran in int8: ") and found["conversions"]["DequantizeLinear"] >= 2


def node(name: str, op: str, *types: str, provider: str = "CUDAExecutionProvider") -> dict[str, Any]:
    args = {"op_name": op, "provider": provider, "input_type_shape": [{t: [1, 8]} for t in types]}
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": args}


def test_a_compiled_graph_says_nothing_of_its_inside() -> None:
    whole = node("t", "TRTKernel_graph_main_0_0", "float", provider="TensorrtExecutionProvider")
    found = kernels_of([whole, whole, {"cat": "Session", "name": "model_run"}])
    assert found["opaque"] == {"TRTKernel_graph_main_0_0": 1} and "says nothing" in str(found["said"])


def test_bytes_that_are_moved_are_no_arithmetic() -> None:
    found = kernels_of(
        [node("a", "Reshape", "int8"), node("b", "MatMulInteger", "int8", "int8"), node("c", "Relu", "float")]
    )
    assert (found["int8"], found["float"]) == ({"MatMulInteger": 1}, {"Relu": 1})
