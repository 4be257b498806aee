"""Errors of models by name and of packages that they need: what raises one, a part of its remedy, and the remedy taken.

A remedy that installs a package is tried by what pip would do: the extra must hold the package, and where it is
installed the call succeeds.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from remedy_subjects import Case, each, float_file
from remedy_user_cases import model as own_model
from repository import ROOT
from safetensors.torch import save_file
from torch import nn

from fxpasses.audit.audit_file import audit
from fxpasses.cli.jobs.parallel_jobs import results_of
from fxpasses.models.zoo import find_blueprint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NORMALISED = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
ZOOS, FACTORY = "models/zoos", "write a path/file.py:factory that returns the module and its example inputs"


def without(package: str, spec: str) -> Any:
    with patch.dict(sys.modules, {package: None}):
        return find_blueprint(spec)


class Yolo:
    """Stand-in for the class of ultralytics, which its licence keeps out of tests: it knows two names."""

    def __init__(self, settings: str, verbose: bool) -> None:
        if settings not in ("yolov8n.yaml", "yolo11n.yaml"):
            raise FileNotFoundError(settings)
        self.model = nn.Identity()


def yolo(name: str) -> Any:
    with patch.dict(sys.modules, {"ultralytics": SimpleNamespace(YOLO=Yolo)}):
        return find_blueprint(f"ultralytics/{name}", 64).build()


def extra_holds(extra: str, package: str) -> object:
    """``pip install fxpasses[EXTRA]`` brings the package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(requirement.startswith(f"{package}>=") for requirement in extras[extra]), extras[extra]
    return extras[extra]


def built_with(extra: str, package: str, spec: str) -> None:
    """The extra brings the package, and where that is installed the model is found."""
    extra_holds(extra, package)
    if importlib.util.find_spec(package) is not None:
        find_blueprint(spec)


def on_backend(backend: str, package: str) -> list[Any]:
    """Two jobs on a cluster whose package is not installed."""
    with patch.dict(sys.modules, {package: None}):
        return list(results_of(abs, [-1, 2], 2, backend))


def _folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="fxpasses-hf-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def _of_images() -> Path:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(num_channels=3, embedding_size=4, hidden_sizes=[4], depths=[1], layer_type="basic")
    made = _folder()
    ResNetForImageClassification(config).save_pretrained(made, safe_serialization=True)
    return made


@cache
def _of_series() -> Path:
    """A model whose first input is neither tokens, nor images, nor sound."""
    from transformers import PatchTSTConfig, PatchTSTForPrediction

    config = PatchTSTConfig(
        num_input_channels=1, context_length=8, patch_length=4, patch_stride=4, prediction_length=2, d_model=4,
        num_attention_heads=2, num_hidden_layers=1, ffn_dim=4,
    )  # fmt: skip
    made = _folder()
    PatchTSTForPrediction(config).save_pretrained(made, safe_serialization=True)
    return made


def built(source: Path, folder: Path, absent: str = "", weights: Any = None, **files: object) -> Any:
    """The model of a copy of a folder, without one of its files and with others."""
    shutil.rmtree(folder / "hf", ignore_errors=True)
    shutil.copytree(source, folder / "hf")
    if absent:
        (folder / "hf" / absent).unlink()
    if weights is not None:
        save_file(weights, folder / "hf" / "model.safetensors")
    for name, content in files.items():
        (folder / "hf" / f"{name}.json").write_text(json.dumps(content))
    return find_blueprint(f"hf/{folder / 'hf'}")


def images(folder: Path, **changes: Any) -> Any:
    return built(_of_images(), folder, **changes)


_SERIES = """
import torch
from transformers import PatchTSTForPrediction


def make():
    return PatchTSTForPrediction.from_pretrained({folder!r}), torch.ones(2, 8, 1)
"""


def series_by_a_factory(folder: Path) -> Any:
    (folder / "own.py").write_text(_SERIES.format(folder=str(_of_series())))
    return find_blueprint(f"{folder / 'own.py'}:make").build()


PACKAGE_CASES: dict[str, Case] = {
    f"{ZOOS}/timm_zoo.py:timm_blueprint": (
        lambda _: without("timm", "timm/resnet10t"),
        "pip install 'fxpasses[timm]'",
        lambda _: built_with("timm", "timm", "timm/resnet10t"),
    ),
    f"{ZOOS}/ultralytics_zoo.py:_built": (
        lambda _: without("ultralytics", "ultralytics/yolov8n").build(),
        "pip install ultralytics, if its license, AGPL-3.0, suits you",
        lambda _: find_blueprint("ultralytics/yolov8n"),
    ),
    "fxpasses/cli/jobs/parallel_jobs.py:_missing": (
        lambda _: on_backend("dask", "distributed"),
        "pip install distributed",
        lambda _: each(extra_holds, ("cluster", "distributed"), ("cluster", "ray")),
    ),
}

NAME_CASES: dict[str, Case] = {
    "models/zoo.py:onnx_refused": (
        lambda folder: find_blueprint(str(float_file(folder))),
        "give the PyTorch model it was exported from, as path/file.py:factory; fxpasses audit reads the file",
        lambda folder: (own_model(folder, "nn.Linear(3, 2)"), audit(float_file(folder))),
    ),
    f"{ZOOS}/timm_zoo.py:timm_blueprint#2": (
        lambda _: find_blueprint("timm/vit_tiny_patch16_224", 64),
        "use its published size, 224",
        lambda _: each(find_blueprint, ("timm/vit_tiny_patch16_224", 224), ("timm/vit_tiny_patch16_224",)),
    ),
    f"{ZOOS}/torchvision_zoo.py:torchvision_blueprint": (
        lambda _: find_blueprint("torchvision/vit_b_16", 40),
        "use its published size, 224",
        lambda _: find_blueprint("torchvision/vit_b_16", 224),
    ),
    f"{ZOOS}/ultralytics_zoo.py:_built#2": (
        lambda _: yolo("yolov99"),
        "write for example ultralytics/yolov8n or ultralytics/yolo11n",
        lambda _: each(yolo, ("yolov8n",), ("yolo11n",)),
    ),
    f"{ZOOS}/ultralytics_zoo.py:ultralytics_blueprint": (
        lambda _: find_blueprint("ultralytics/yolov8n", 100),
        "take a multiple of 32",
        lambda _: find_blueprint("ultralytics/yolov8n", 96),
    ),
}

HUGGING_FACE_CASES: dict[str, Case] = {
    f"{ZOOS}/hugging_face_zoo.py:hugging_face_blueprint": (
        lambda folder: images(folder, absent="model.safetensors"),
        "save it with model.save_pretrained(folder, safe_serialization=True)",
        images,
    ),
    f"{ZOOS}/hugging_face_zoo.py:hugging_face_blueprint#2": (
        lambda folder: built(_of_series(), folder),
        FACTORY,
        series_by_a_factory,
    ),
    f"{ZOOS}/hugging_face_zoo.py:_loaded": (
        lambda _: without("transformers", f"hf/{_of_images()}"),
        "pip install 'fxpasses[hf]'",
        lambda _: built_with("hf", "transformers", f"hf/{_of_images()}"),
    ),
    f"{ZOOS}/hugging_face_zoo.py:_loaded#2": (
        lambda folder: images(folder, weights={"weight": torch.ones(2)}),
        "save it with model.save_pretrained(folder, safe_serialization=True)",
        images,
    ),
    f"{ZOOS}/hugging_face_zoo.py:_preprocessing": (
        lambda folder: images(folder, preprocessor_config=NORMALISED | {"image_std": ["a"]}),
        "write numbers for each channel",
        lambda folder: images(folder, preprocessor_config=NORMALISED),
    ),
}
"""Slow: transformers takes seconds to import."""

ZOO_CASES = PACKAGE_CASES | NAME_CASES
