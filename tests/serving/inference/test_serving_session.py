"""The session of a worker: its options, and its refusals of inputs that it cannot compute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from served import images, tiny_folder

from fxpasses.layouts.deployed_model import DeployedModel, deployed_model
from fxpasses.serving.inference.refusal import Refusal
from fxpasses.serving.inference.session import open_session, values_of

OPTION = "session.x64quantprecision"


@pytest.fixture
def model(tmp_path: Path) -> DeployedModel:
    return deployed_model(tiny_folder(tmp_path / "f"))


@pytest.mark.parametrize("saturates", [True, False])
def test_the_option_of_the_file_is_set_where_the_cpu_needs_it(
    model: DeployedModel, monkeypatch: pytest.MonkeyPatch, saturates: bool
) -> None:
    monkeypatch.setattr("fxpasses.export.exact_sums.runtime_saturates", lambda: saturates)
    monkeypatch.setattr("fxpasses.export.onnx_reader.runtime_saturates", lambda: saturates)
    options = open_session(model, 1).session.get_session_options()
    if saturates:
        assert options.get_session_config_entry(OPTION) == "1"
    else:
        with pytest.raises(RuntimeError, match=OPTION):
            options.get_session_config_entry(OPTION)


def test_threads_do_not_spin_and_patterns_are_not_kept(model: DeployedModel) -> None:
    options = open_session(model, 2).session.get_session_options()
    assert options.intra_op_num_threads == 2 and options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert not options.enable_mem_pattern


def test_rows_are_computed_alike_in_every_batch(model: DeployedModel) -> None:
    session, x = open_session(model, 1), images(8)
    session.warm_up(8)
    (together,) = session.run([x])
    alone = [session.run([x[row : row + 1]])[0] for row in range(8)]
    assert np.array_equal(together, np.concatenate(alone))


def test_an_input_that_is_refused(model: DeployedModel) -> None:
    with pytest.raises(Refusal, match="onnxruntime refuses this input") as caught:
        open_session(model, 1).run([images(1)[:, :2]])
    assert caught.value.status == 400


def test_free_sizes_give_their_memory_back(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[batch, 3, height, 7] x) => (float[batch, 3, height, 7] y)'
    free = onnx.parser.parse_model(text + " { y = Relu (x) }")
    model = deployed_model(tiny_folder(tmp_path / "f", free, model_details=None))
    assert model.is_batched and model.has_other_free_sizes
    session = open_session(model, 1)
    session.warm_up(3)
    assert session.run_options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"
    assert session.run([images(2)])[0].shape == (2, 3, 9, 7)
    assert values_of(model.inputs[0], 2) == 2 * 3 * 7


def test_a_file_that_onnxruntime_refuses(model: DeployedModel, tmp_path: Path) -> None:
    from fxpasses.errors import InputError

    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="refuses"):
        open_session(replace(model, path=tmp_path / "m.onnx"), 1)
