"""transformers reads the two files, with the same labels and preprocessing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_folders import IMAGE
from PIL import Image

from fxpasses.bundles import run
from fxpasses.bundles.hugging_face_files import model_config, preprocessor_config
from fxpasses.bundles.image.image_input import ImageInput

NAMES = ["crane", "ship", "crane"]


def test_labels() -> None:
    config = model_config("mobilenet_v2", 3, NAMES, IMAGE)
    assert config["model_type"] == "mobilenet_v2" and config["image_size"] == 9 and config["num_channels"] == 3
    assert config["id2label"] == {"0": "crane", "1": "ship", "2": "crane (2)"}
    assert config["label2id"] == {"crane": 0, "ship": 1, "crane (2)": 2}
    assert model_config("my_net", 2, None, None) == {
        "id2label": {"0": "class 0", "1": "class 1"},
        "label2id": {"class 0": 0, "class 1": 1},
    }
    assert model_config("my_net", None, None, IMAGE)["model_type"] == "resnet"
    assert model_config("net", None, None, None) == {}


@pytest.mark.slow
def test_transformers_opens_them(tmp_path: Path) -> None:
    """A larger image comes out as in this toolkit: same scaling, same crop, same numbers to float rounding."""
    transformers = pytest.importorskip("transformers")
    image = ImageInput(28, 28, 3, IMAGE.mean, IMAGE.std)
    (tmp_path / "config.json").write_text(json.dumps(model_config("cifar_resnet20", 3, NAMES, image)))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor_config(image)))
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert config.id2label == {0: "crane", 1: "ship", 2: "crane (2)"} and config.label2id["crane (2)"] == 2
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    noise = np.random.default_rng(0).integers(256, size=(40, 64, 3), dtype=np.uint8)
    found = processor(Image.fromarray(noise), return_tensors="np")["pixel_values"]
    Image.fromarray(noise).save(tmp_path / "photo.png")
    expected = image.normalized(torch.from_numpy(run.pixels_of(str(tmp_path / "photo.png"), image.to_json()).copy()))
    assert found.shape == (1, 3, 28, 28)
    assert np.abs(found - expected.numpy()).max() < 2.5 / 255 / min(IMAGE.std)  # two levels, as other filters round
