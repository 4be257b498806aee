"""Folders as ``fxpasses quantize`` writes them, of a tiny net of images, and bundles; made once."""

from __future__ import annotations

import copy
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import torch
from documents import report
from int8_files import ImageNet3
from made_once import made_once
from torch import Tensor, fx

import fxpasses
from fxpasses.agreement.stored_integers import store_integers
from fxpasses.bundles import BundleSettings, write_bundle
from fxpasses.bundles.image.image_graph import every_level
from fxpasses.bundles.image.image_input import ImageInput
from fxpasses.export import save, to_onnx, to_torch
from fxpasses.export.metadata import qparams_hash
from fxpasses.quantization.config import QuantConfig

IMAGE = ImageInput(9, 7, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
NAMES = ["cat", "dog", "crane", "crane"]


def pixels(count: int = 6, image: ImageInput = IMAGE) -> Tensor:
    """Images, uint8 ``[N, H, W, C]``: every level of each channel, then noise."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randint(256, (count, image.height, image.width, image.channels), generator=generator)
    return torch.cat([every_level(image), noise.to(torch.uint8)])


@cache
def graph(target: str = "x86-avx2", pixel_grid: bool = True) -> fx.GraphModule:
    """A net of images as QUANTIZED graph; not to be changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ImageNet3().eval()
    images = IMAGE.normalized(pixels(10))
    config = QuantConfig(target=target, pixel_grid=pixel_grid)
    return fxpasses.quantize(model, images[:2], images.split(4), config)


@cache
def float_graph() -> fx.GraphModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ImageNet3().eval()
    return fxpasses.fuse(fxpasses.capture(model, IMAGE.normalized(pixels(2))[:2]))


@cache
def folder(target: str = "x86-avx2") -> Path:
    """A folder of the tiny net as ``fxpasses quantize`` writes it. It is shared: copy it before a change."""
    return made_once(f"folder for {target}", lambda made: _write(made, target))


def _write(made: Path, target: str) -> None:
    made.mkdir()
    int8 = graph(target)
    to_onnx(int8, made / "model.int8.onnx")
    to_onnx(float_graph(), made / "model.fp32.onnx")
    save(int8, made / "model.int8.pt2")
    inputs = IMAGE.normalized(pixels(2))[:4]
    store_integers(int8, to_torch(int8), made / "model.int8.onnx", (inputs,), made / "integers.npz")
    (made / "report.json").write_text(json.dumps(report_of(int8, target)), encoding="utf-8")


def report_of(int8: fx.GraphModule, target: str) -> dict[str, Any]:
    """``report.json`` of the folder."""
    told = copy.deepcopy(report())
    told |= {"model": "tiny_images", "data": "images=some/photos", "target": target}
    told["qparams_sha256"] = qparams_hash(int8)
    told["model_details"] |= {"spec": "tiny_images", "input_shape": [3, 9, 7]}
    told["model_details"]["preprocessing"] = {"mean": list(IMAGE.mean), "std": list(IMAGE.std)}
    told["data_details"] = {"spec": "images=some/photos", "labels": None, "calibration_images": 14}
    return told


def copied(to: Path, target: str = "x86-avx2") -> Path:
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(folder(target), to))


@cache
def bundle() -> Path:
    """A zip of the folder, with names and a licence; not to be changed."""
    return made_once("bundle", _write_bundle) / "app.zip"


def _write_bundle(place: Path) -> None:
    place.mkdir()
    (place / "labels.json").write_text(json.dumps(NAMES))
    made = write_bundle(folder(), place / "app.zip", BundleSettings("arm", place / "labels.json", "CC0-1.0"))
    assert made.self_test.passed, made.self_test.said
