"""A deployed model is read from the folder of a quantization."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from served import CLASSES, MEAN, SHAPE, STD, tiny_folder, tiny_net

from fxpasses.errors import InputError
from fxpasses.layouts.deployed_model import ImageInput, TensorSpec, default_name, deployed_model


def test_what_is_read(tmp_path: Path) -> None:
    model = deployed_model(tiny_folder(tmp_path / "f"))
    assert model.name == "tiny.py" and model.path == tmp_path / "f" / "model.int8.onnx"
    assert model.inputs == (TensorSpec("x", "float32", ("batch", *SHAPE)),)
    assert model.outputs[0].shape == ("batch", CLASSES)
    assert model.labels == ("cat", "dog", "eel", "fox")
    assert model.image == ImageInput(SHAPE, MEAN, STD)
    assert model.session_options == {"session.x64quantprecision": "1"}
    assert model.float_path == tmp_path / "f" / "model.fp32.onnx"
    assert model.about == {"target": "x86", "method": "static"}
    assert model.is_batched and not model.has_other_free_sizes


def test_no_torch_is_loaded(tmp_path: Path) -> None:
    """Reading a folder loads no torch, which every worker of a server would have to load."""
    tiny_folder(tmp_path / "f")
    code = (
        "import sys; from pathlib import Path; from fxpasses.layouts.deployed_model import deployed_model; "
        f"deployed_model(Path({str(tmp_path / 'f')!r})); import fxpasses.serving.server; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_fixed_batch_is_no_batch(tmp_path: Path) -> None:
    model = deployed_model(tiny_folder(tmp_path / "f", tiny_net(batch=2)))
    assert not model.is_batched and not model.has_other_free_sizes
    assert model.inputs[0].shape == (2, *SHAPE)


def test_labels_that_do_not_fit_the_logits_are_left_out(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "f")
    (folder / "data" / "train" / "gnu").mkdir()
    assert deployed_model(folder).labels == ()


def test_images_of_segmentation_are_scaled_whole(tmp_path: Path) -> None:
    details = {"spec": "segmentation=/nowhere", "labels": None}
    image = deployed_model(tiny_folder(tmp_path / "f", data_details=details)).image
    assert image is not None and not image.crop


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("torchvision/resnet18", "resnet18"),
        ("cifar_resnet20", "cifar_resnet20"),
        ("/a b/c d.py:make", "c_d.py"),
        ("hf/folder/", "folder"),
        ("..", "model"),
        ("é:f", "_"),
    ],
)
def test_names_are_parts_of_addresses(spec: str, name: str) -> None:
    assert default_name(spec) == name


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "ä", ".hidden", "x" * 101])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="paths and addresses"):
        deployed_model(tiny_folder(tmp_path / "f"), name)


def test_a_report_leads_nowhere_else(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "f")
    report = json.loads((folder / "report.json").read_text())
    report["variants"][0]["file"] = "../model.int8.onnx"
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match="no name in that folder"):
        deployed_model(folder)


def test_a_report_without_an_int8_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no quantized ONNX file"):
        deployed_model(tiny_folder(tmp_path / "f", variants=[]))


def test_a_model_of_text_is_refused(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (string[1] a) => (string[1] b) { b = Identity (a) }'
    with pytest.raises(InputError, match=r"'[ab]' is no tensor of numbers"):
        deployed_model(tiny_folder(tmp_path / "f", onnx.parser.parse_model(text), model_details=None))


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_no_folder(tmp_path: Path, kind: str) -> None:
    if kind == "file":
        (tmp_path / "f").touch()
    with pytest.raises(InputError, match="cannot open the folder"):
        deployed_model(tmp_path / "f")
