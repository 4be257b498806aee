"""MLflow's layout has the right content; MLflow, if it is installed, loads it and gives the same integers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from int8_files import run_file
from served import images, tiny_folder

from fxpasses.layouts.deployed_model import DeployedModel, deployed_model
from fxpasses.layouts.mlflow import write_mlflow


@pytest.fixture
def model(tmp_path: Path) -> DeployedModel:
    return deployed_model(tiny_folder(tmp_path / "f"))


def test_what_mlflow_reads(model: DeployedModel, tmp_path: Path) -> None:
    assert write_mlflow(tmp_path / "m", model, threads=3) == ()
    files = {path.name for path in (tmp_path / "m").iterdir()}
    assert files == {"MLmodel", "model.onnx", "conda.yaml", "python_env.yaml", "requirements.txt"}
    written = json.loads((tmp_path / "m" / "MLmodel").read_text())
    flavor = written["flavors"]["onnx"]
    assert flavor["data"] == written["flavors"]["python_function"]["data"] == "model.onnx"
    assert flavor["providers"] == ["CPUExecutionProvider"]
    assert flavor["onnx_session_options"]["intra_op_num_threads"] == 3
    assert flavor["onnx_session_options"]["extra_session_config"] == {"session.x64quantprecision": "1"}
    (given,) = json.loads(written["signature"]["inputs"])
    assert given == {"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 3, 9, 7]}}
    assert written["metadata"]["labels"] == ["cat", "dog", "eel", "fox"]
    assert written["metadata"]["preprocessing"]["shape"] == [3, 9, 7]
    assert "onnxruntime==" in (tmp_path / "m" / "requirements.txt").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_loads_it(model: DeployedModel, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the package mlflow is not installed")
    onnx_flavor = pytest.importorskip("mlflow.onnx")
    write_mlflow(tmp_path / "m", model)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    found = loaded.predict(images(3))
    (expected,) = run_file(model.path.read_bytes(), (images(3),))
    assert np.array_equal(found[model.outputs[0].name], expected.numpy())
    assert loaded.metadata.metadata["labels"] == ["cat", "dog", "eel", "fox"]
    assert onnx_flavor.load_model(str(tmp_path / "m")).graph.input[0].name == "x"
