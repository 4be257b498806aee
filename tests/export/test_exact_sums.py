"""The option for exact sums in onnxruntime: the files that need it, and the code that sets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny_graphs import exact_outputs, fresh_inputs, quantized
from tiny_nets.all_nets import TINY
from torch import nn

import fxpasses
from fxpasses.export import exact_sums
from fxpasses.export import onnx_reader as onnx_files
from fxpasses.export.exact_sums import (
    EXACT_SUMS,
    METADATA_SESSION_OPTIONS,
    options_of_file,
    runtime_saturates,
    set_exact_sums,
)
from fxpasses.export.metadata import session_options_of
from fxpasses.export.onnx_reader import start_session
from fxpasses.export.onnx_writer.write import to_onnx
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.quantization.config import QuantConfig

FULL, SAFE = QuantConfig(target="x86", observer="minmax"), QuantConfig(target="x86-avx2", observer="minmax")
OPTION = "session.x64quantprecision"


def file_of(name: str, config: QuantConfig, folder: Path) -> Path:
    return to_onnx(quantized(name, config), folder / f"{config.target}.onnx")


def without_metadata(path: Path) -> onnx.ModelProto:
    model = onnx.load(path)
    del model.metadata_props[:]
    return model


@pytest.mark.parametrize("name", ["conv_bn_relu", "linear_relu_linear", "residual_block"])
def test_a_file_says_what_it_needs_and_its_weights_say_the_same(name: str, tmp_path: Path) -> None:
    for config, needed in ((FULL, EXACT_SUMS), (SAFE, {})):
        path = file_of(name, config, tmp_path)
        model = onnx.load(path)
        assert {e.key: e.value for e in model.metadata_props}[METADATA_SESSION_OPTIONS] == json.dumps(needed)
        assert options_of_file(model) == needed
        assert options_of_file(without_metadata(path)) == needed


def test_operators_on_integers_are_looked_at_too(tmp_path: Path) -> None:
    for config, needed in ((FULL, EXACT_SUMS), (SAFE, {})):
        path = to_onnx(quantized("conv_bn_relu", config), tmp_path / "q.onnx", form="qoperator")
        assert options_of_file(without_metadata(path)) == needed


def test_a_float_file_needs_nothing(tmp_path: Path) -> None:
    path = to_onnx(
        fxpasses.capture(TINY["conv_bn_relu"].build(), TINY["conv_bn_relu"].example_inputs()), tmp_path / "f"
    )
    assert options_of_file(onnx.load(path)) == {}


def test_what_a_file_asks_for_beyond_that_is_not_set() -> None:
    model = onnx.ModelProto()
    for text, needed in (
        ('{"session.use_env_allocators": "1"}', {}),
        ('{"session.x64quantprecision": "0", "a": "b"}', EXACT_SUMS),
        ("not JSON", EXACT_SUMS),
        ("[1]", {}),
    ):
        helper.set_model_props(model, {METADATA_SESSION_OPTIONS: text})
        assert options_of_file(model) == needed


@pytest.mark.parametrize("target", ["x86", "x86-avx2"])
def test_dynamic_files(target: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = fxpasses.fuse(fxpasses.capture(nn.Sequential(nn.Linear(9, 5)).eval(), (torch.randn(2, 9),)))
    lowered = to_dynamic(graph, target)
    needed = EXACT_SUMS if target == "x86" else {}
    assert session_options_of(lowered) == needed
    assert options_of_file(without_metadata(to_onnx(lowered, tmp_path / "d.onnx"))) == needed


def test_weights_in_another_file_are_taken_for_unsafe(tmp_path: Path) -> None:
    model = without_metadata(file_of("conv_bn_relu", SAFE, tmp_path))
    for initializer in model.graph.initializer:
        if initializer.data_type == TensorProto.INT8:
            array = numpy_helper.to_array(initializer)
            initializer.CopyFrom(numpy_helper.from_array(np.maximum(array, 65), initializer.name))
    onnx.save(model, tmp_path / "apart.onnx", save_as_external_data=True, size_threshold=0)
    assert options_of_file(onnx.load(tmp_path / "apart.onnx", load_external_data=False)) == EXACT_SUMS


@pytest.mark.parametrize("saturates", [True, False])
def test_sessions_get_it_where_it_matters_and_only_there(
    saturates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {config.target: file_of("conv_bn_relu", config, tmp_path) for config in (FULL, SAFE)}
    for module in (exact_sums, onnx_files):
        monkeypatch.setattr(module, "runtime_saturates", lambda: saturates)
    for config in (FULL, SAFE):
        options = ort.SessionOptions()
        start_session(files[config.target], options)
        if saturates and config is FULL:
            assert options.get_session_config_entry(OPTION) == "1"
        else:
            with pytest.raises(RuntimeError):
                options.get_session_config_entry(OPTION)


@pytest.mark.parametrize("config", [FULL, SAFE], ids=["full", "safe"])
def test_with_it_the_integers_are_exact_on_this_machine(config: QuantConfig, tmp_path: Path) -> None:
    inputs = fresh_inputs(TINY["residual_block"], 3)
    options = ort.SessionOptions()
    path = file_of("residual_block", config, tmp_path)
    session = start_session(path, options)
    found = session.run(None, {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)})
    expected = exact_outputs(quantized("residual_block", config), inputs)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(found, expected, strict=True))


def test_the_probe_is_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that saturates is recognised by its results."""
    real = runtime_saturates()

    class Saturated:
        def run(self, *_: object) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int32]]]:
            return [np.full((4, 16), 32767 * 8, np.int32)]

    exact_sums.runtime_saturates.cache_clear()
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: Saturated())
    assert runtime_saturates()
    monkeypatch.undo()
    exact_sums.runtime_saturates.cache_clear()
    assert runtime_saturates() is real


def test_options_are_left_alone_where_nothing_saturates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = onnx.load(file_of("conv_bn_relu", FULL, tmp_path))
    monkeypatch.setattr(exact_sums, "runtime_saturates", lambda: False)
    options = ort.SessionOptions()
    set_exact_sums(options, model)
    with pytest.raises(RuntimeError):
        options.get_session_config_entry(OPTION)
