"""``hf/FOLDER``: missing files are reported at once; models for text and images run, and quantize."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import fxpasses as fx
from fxpasses.errors import InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import IMAGENET
from fxpasses.models.zoo import load_model
from fxpasses.models.zoos.hugging_face_zoo import HALF


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), r"(?s)has no config.json.*save_pretrained wrote"),
        (("config.json",), r"(?s)has no model.safetensors.*safe_serialization=True"),
        (("config.json", "pytorch_model.bin"), "has no model.safetensors"),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=message):
        load_model(f"hf/{tmp_path}")


def test_without_the_package_its_extra_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"pip install 'fxpasses\[hf\]'"):
        load_model(f"hf/{tmp_path}")


WIDTHS: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_images(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    ViTForImageClassification(ViTConfig(**WIDTHS, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    model = load_model(f"hf/{tmp_path}")
    assert (model.input_shape, model.preprocessing, model.pretrained) == ((3, 32, 32), HALF, True)
    images = model.example_inputs(batch=4)
    int8 = fx.quantize(model.module, model.example_inputs(), [images])
    with torch.no_grad():
        assert torch.allclose(int8(*images)["logits"], model.module(*images).logits, atol=0.05)
    settings = {"image_mean": list(IMAGENET.mean), "image_std": list(IMAGENET.std)}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    assert load_model(f"hf/{tmp_path}").preprocessing == IMAGENET
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings | {"image_std": ["a"]}))
    with pytest.raises(InputError, match="image_std"):
        load_model(f"hf/{tmp_path}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTModel

    config = ViTConfig(**WIDTHS, image_size=32, patch_size=8)
    ViTModel(config).save_pretrained(tmp_path)
    known = json.loads((tmp_path / "config.json").read_text())
    for change in ({"architectures": ["ViTForNothing"]}, {"model_type": "nothing"}):
        (tmp_path / "config.json").write_text(json.dumps(known | change))
        with pytest.raises(InputError, match=r"(?s)cannot be loaded.*fix: write a path/file.py:factory"):
            load_model(f"hf/{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps(known | {"architectures": ["ViTForImageClassification"]}))
    with pytest.raises(InputError, match=r"(?s)lacks 2 of its weights, among them classifier.bias.*fix: save it"):
        load_model(f"hf/{tmp_path}")
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"(?s)cannot be loaded.*fix: save it"):
        load_model(f"hf/{tmp_path}")
    ViTForImageClassification(config).save_pretrained(tmp_path)
    assert load_model(f"hf/{tmp_path}").pretrained


TOKENIZED = """
import torch

def data():
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        words = torch.randint(1, 100, (4, 16), generator=generator)
        mask = torch.ones_like(words)
        mask[:, 12:] = 0
        yield {"attention_mask": mask, "input_ids": words, "labels": torch.randint(2, (4,), generator=generator)}
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_text_with_its_mask(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    BertForSequenceClassification(BertConfig(**WIDTHS, vocab_size=100, max_position_embeddings=16)).save_pretrained(
        tmp_path
    )
    model = load_model(f"hf/{tmp_path}", image_size=16)
    assert (model.input_shape, model.input_names) == ((16,), ("input_ids", "attention_mask"))
    (tmp_path / "own.py").write_text(TOKENIZED)
    source = open_dataset(f"{tmp_path / 'own.py'}:data", model)
    batches: list[tuple[tuple[Tensor, Tensor], Tensor]] = list(source.evaluation(4))
    (words, mask), labels = batches[0]
    assert (words.shape, mask[0].tolist(), labels.shape) == ((4, 16), [1] * 12 + [0] * 4, (4,))
    int8 = fx.quantize(model.module, model.example_inputs(), batches)
    with torch.no_grad():
        expected = model.module(words, mask).logits
        assert torch.allclose(int8(words, mask)["logits"], expected, atol=0.05)
        assert not torch.allclose(int8(words, torch.ones_like(mask))["logits"], expected, atol=1e-4)
