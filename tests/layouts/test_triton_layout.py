"""Triton's layout, parsed with Triton's own description of a model's configuration."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from served import CLASSES, SHAPE, tiny_folder, tiny_net

from fxpasses.errors import InputError
from fxpasses.layouts.deployed_model import DeployedModel, TensorSpec, deployed_model
from fxpasses.layouts.triton import write_triton


@pytest.fixture(scope="module")
def published() -> Any:
    """The module of messages in Nvidia's client, loaded without the rest of the client, which needs gRPC."""
    found = importlib.util.find_spec("tritonclient")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package tritonclient, which has Triton's messages, is not installed")
    path = Path(next(iter(found.submodule_search_locations))) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("triton_model_config_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> DeployedModel:
    return deployed_model(tiny_folder(tmp_path / "f"))


def parsed(repository: Path, published: Any) -> Any:
    """The configuration; a field that Triton does not know ends in ParseError."""
    text = (repository / "tiny.py" / "config.pbtxt").read_text()
    return text_format.Parse(text, published.ModelConfig(), allow_unknown_field=False)


def test_the_configuration_is_tritons(model: DeployedModel, tmp_path: Path, published: Any) -> None:
    remarks = write_triton(tmp_path / "repository", model, max_batch=16, threads=2, queue=5)
    config = parsed(tmp_path / "repository", published)
    assert (config.name, config.backend, config.max_batch_size) == ("tiny.py", "onnxruntime", 16)
    assert (config.input[0].name, list(config.input[0].dims)) == ("x", list(SHAPE))
    assert config.input[0].data_type == config.output[0].data_type == published.TYPE_FP32
    assert (list(config.output[0].dims), config.output[0].label_filename) == ([CLASSES], "labels.txt")
    assert config.instance_group[0].kind == published.ModelInstanceGroup.KIND_CPU
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 5
    assert config.optimization.graph.level == 1, "2 would switch all optimizations off"
    assert config.parameters["intra_op_thread_count"].string_value == "2"
    (remark,) = remarks
    assert "session.x64quantprecision=1" in remark and "x86-avx2" in remark


def test_the_files_are_where_triton_looks(model: DeployedModel, tmp_path: Path) -> None:
    write_triton(tmp_path / "repository", model)
    folder = tmp_path / "repository" / "tiny.py"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"config.pbtxt", "labels.txt", "1/model.onnx"}
    assert (folder / "labels.txt").read_text() == "cat\ndog\neel\nfox\n"
    assert (folder / "1" / "model.onnx").read_bytes() == model.path.read_bytes()


def test_a_second_model_goes_into_the_same_repository(model: DeployedModel, tmp_path: Path) -> None:
    write_triton(tmp_path / "repository", model)
    assert write_triton(tmp_path / "repository", replace(model, name="other", session_options={}, labels=())) == ()
    assert {path.name for path in (tmp_path / "repository").iterdir()} == {"tiny.py", "other"}
    assert not (tmp_path / "repository" / "other" / "labels.txt").exists()


def test_a_model_of_fixed_size_has_no_batches(tmp_path: Path, published: Any) -> None:
    write_triton(tmp_path / "r", deployed_model(tiny_folder(tmp_path / "f", tiny_net(batch=2))))
    config = parsed(tmp_path / "r", published)
    assert config.max_batch_size == 0 and not config.HasField("dynamic_batching")
    assert list(config.input[0].dims) == [2, *SHAPE]


def test_a_tensor_of_the_batch_alone_and_odd_names(model: DeployedModel, tmp_path: Path, published: Any) -> None:
    odd = TensorSpec('a "quoted" \\ näme', "int64", ("batch",))
    write_triton(tmp_path / "r", replace(model, inputs=(odd,)))
    (given,) = parsed(tmp_path / "r", published).input
    assert given.name == odd.name and list(given.dims) == [1]
    assert given.HasField("reshape") and list(given.reshape.shape) == []


def test_a_type_that_triton_has_not(model: DeployedModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'x' is of int4"):
        write_triton(tmp_path / "r", replace(model, inputs=(TensorSpec("x", "int4", ("batch", 3)),)))
    assert not (tmp_path / "r").exists()
