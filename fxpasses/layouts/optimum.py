"""A folder of Hugging Face's Optimum: an image classifier for ``ORTModelForImageClassification`` and its processor.

Optimum names the images ``pixel_values`` and reads ``logits``, so the files' input and output get these names; their
results stay the same. Optimum opens onnxruntime itself: the caller must give the session entries, which the remark
names. Its configuration needs the name of an architecture that transformers knows; only the labels in it are used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError
from fxpasses.export.files import staged_folder
from fxpasses.models.data.image_fitting import scaled_size

from .deployed_model import DeployedModel, ImageInput
from .model_file import copy_renamed

PIXELS, LOGITS = "pixel_values", "logits"
QUANTIZED, FLOAT = "model_quantized.onnx", "model.onnx"
_ARCHITECTURE = "resnet"
_BILINEAR = 2
"""Pillow's number for bilinear resampling."""


def write_optimum(folder: Path, model: DeployedModel) -> tuple[str, ...]:
    """Write a folder that Optimum opens, and return remarks on differences between Optimum and this package.

    Raises:
        InputError: the model is no classifier of square images of three channels, or the folder cannot be written.
    """
    image = _require_classifier(model)
    names = {model.inputs[0].name: PIXELS, model.outputs[0].name: LOGITS}
    classes = model.outputs[0].shape[1]
    assert isinstance(classes, int)
    with staged_folder(folder) as stage:
        copy_renamed(model.path, stage / QUANTIZED, names)
        if model.float_path is not None:
            copy_renamed(model.float_path, stage / FLOAT, names)
        _write(stage / "config.json", _config(model, image, classes))
        _write(stage / "preprocessor_config.json", _processor(image))
    return tuple(_remarks(model, image))


def _require_classifier(model: DeployedModel) -> ImageInput:
    image, outputs = model.image, model.outputs
    is_classifier = len(model.inputs) == len(outputs) == 1 and len(outputs[0].shape) == 2
    if image is None or not is_classifier or not isinstance(outputs[0].shape[1], int):
        raise InputError(
            f"{model.path} in Optimum's layout",
            why="it takes classifiers with one input of images and one output [batch, classes]",
            fix="use the layout triton or mlflow",
        )
    channels, height, width = image.shape
    if channels != 3 or height != width:
        raise InputError(
            f"{model.path} takes images of {channels}x{height}x{width}",
            why="processors of transformers make square images of 3 channels",
            fix="use the layout triton or mlflow",
        )
    return image


def _remarks(model: DeployedModel, image: ImageInput) -> Iterator[str]:
    if model.session_options:
        entries = ", ".join(f"{key}={value}" for key, value in model.session_options.items())
        yield f"give Optimum session_options with {entries} on x86 CPUs without VNNI, for the promised integers"
    if image.crop:
        size = image.shape[1]
        yield (
            f"the processor scales an image of {size}x{size}, too, which fxpasses takes as it is; "
            "give it do_resize=False for those"
        )


def _config(model: DeployedModel, image: ImageInput, classes: int) -> dict[str, Any]:
    names = model.labels or tuple(f"LABEL_{number}" for number in range(classes))
    unique = [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names)]
    return {
        "model_type": _ARCHITECTURE,
        "num_channels": image.shape[0],
        "image_size": image.shape[1],
        "id2label": {str(number): name for number, name in enumerate(unique)},
        "label2id": {name: number for number, name in enumerate(unique)},
    }


def _processor(image: ImageInput) -> dict[str, Any]:
    """Settings of the image processor: scale the shorter side and cut out the centre, or scale the whole image."""
    channels, height, width = image.shape
    shorter = scaled_size((10 * width, 10 * height), height, width)[0]
    size = {"shortest_edge": shorter} if image.crop else {"height": height, "width": width}
    return {
        "image_processor_type": "BitImageProcessor" if image.crop else "ViTImageProcessor",
        "do_resize": True,
        "size": size,
        "resample": _BILINEAR,
        "do_center_crop": image.crop,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(image.mean) * (channels if len(image.mean) == 1 else 1),
        "image_std": list(image.std) * (channels if len(image.std) == 1 else 1),
        "do_convert_rgb": True,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
