"""Optimum's layout has the right content; Optimum, if it is installed, gives the same integers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from int8_files import run_file
from PIL import Image
from qdq_models import Graph, weights
from served import tiny_folder

from fxpasses.errors import InputError
from fxpasses.layouts.deployed_model import DeployedModel, ImageInput, deployed_model
from fxpasses.layouts.optimum import write_optimum

SIZE, CLASSES = 12, 5


def square_net() -> onnx.ModelProto:
    """A net of images of 3x12x12 with five logits."""
    graph = Graph()
    x = graph.node("Flatten", [graph.qdq(graph.input("batch", 3, SIZE, SIZE))])
    weight, _ = graph.weight(weights(3 * SIZE * SIZE, CLASSES), axis=1)
    graph.output(graph.qdq(graph.node("MatMul", [x, weight]), scale=0.1))
    model = graph.model(**{"fxpasses.session_options": '{"session.x64quantprecision": "1"}'})
    shape = model.graph.output[0].type.tensor_type.shape
    shape.dim.add().dim_param = "batch"
    shape.dim.add().dim_value = CLASSES
    return model


@pytest.fixture
def model(tmp_path: Path) -> DeployedModel:
    folder = tiny_folder(tmp_path / "f", square_net())
    report = json.loads((folder / "report.json").read_text())
    report["model_details"]["input_shape"] = [3, SIZE, SIZE]
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "data" / "val" / "gnu").mkdir()
    return deployed_model(folder)


def written(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_what_optimum_reads(model: DeployedModel, tmp_path: Path) -> None:
    remarks = write_optimum(tmp_path / "o", model)
    config, processor = written(tmp_path / "o", "config.json"), written(tmp_path / "o", "preprocessor_config.json")
    assert config["id2label"] == {"0": "cat", "1": "dog", "2": "eel", "3": "fox", "4": "gnu"}
    assert config["label2id"]["gnu"] == 4
    assert processor["size"] == {"shortest_edge": 14} and processor["crop_size"] == {"height": SIZE, "width": SIZE}
    assert processor["image_mean"] == [0.5, 0.4, 0.3] and processor["rescale_factor"] == 1 / 255
    for name in ("model.onnx", "model_quantized.onnx"):
        graph = onnx.load(tmp_path / "o" / name).graph
        assert (graph.input[0].name, graph.output[0].name) == ("pixel_values", "logits")
    assert any("session.x64quantprecision=1" in remark for remark in remarks)
    assert any("do_resize=False" in remark for remark in remarks)


def test_two_classes_of_one_name_stay_two(model: DeployedModel, tmp_path: Path) -> None:
    write_optimum(tmp_path / "o", replace(model, labels=("crane", "dog", "crane", "fox", "gnu")))
    assert len(written(tmp_path / "o", "config.json")["label2id"]) == CLASSES


def test_images_scaled_whole_and_one_mean_for_all(model: DeployedModel, tmp_path: Path) -> None:
    image = ImageInput((3, SIZE, SIZE), (0.5,), (0.25,), crop=False)
    write_optimum(tmp_path / "o", replace(model, image=image, float_path=None, labels=(), session_options={}))
    processor = written(tmp_path / "o", "preprocessor_config.json")
    assert processor["size"] == {"height": SIZE, "width": SIZE} and not processor["do_center_crop"]
    assert processor["image_mean"] == [0.5] * 3
    assert written(tmp_path / "o", "config.json")["id2label"]["4"] == "LABEL_4"
    assert not (tmp_path / "o" / "model.onnx").exists()


def test_other_models_are_refused(model: DeployedModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="classifiers with one input"):
        write_optimum(tmp_path / "o", replace(model, image=None))
    with pytest.raises(InputError, match="square images of 3 channels"):
        write_optimum(tmp_path / "o", replace(model, image=ImageInput((1, 8, 8), (0.0,), (1.0,))))
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Optimum's own
def test_optimum_loads_it(model: DeployedModel, tmp_path: Path) -> None:
    try:
        from optimum.onnxruntime import ORTModelForImageClassification
        from transformers import AutoImageProcessor
    except ImportError as error:
        pytest.skip(f"optimum-onnx is not installed, or not beside the transformers that it wants: {error}")
    write_optimum(tmp_path / "o", model)
    loaded = ORTModelForImageClassification.from_pretrained(str(tmp_path / "o"), file_name="model_quantized.onnx")
    processors: Any = AutoImageProcessor
    processor = processors.from_pretrained(str(tmp_path / "o"))
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    given = processor(Image.fromarray(pixels), return_tensors="pt", do_resize=False)
    (expected,) = run_file(model.path.read_bytes(), (given["pixel_values"].numpy(),))
    assert np.array_equal(loaded(**given).logits.numpy(), expected.numpy())
    assert loaded.config.id2label[4] == "gnu"
