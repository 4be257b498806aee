"""``config.json`` and ``preprocessor_config.json``: labels and preprocessing as Hugging Face's libraries read them.

``model_type`` is a type those libraries know, since they open no folder without one; of it they use the labels, not the
architecture. Models of anything but images have none. An image that has the model's size is fed as it is by this
toolkit, and scaled up and cropped by them: they have no such rule, so only the sizes and the filter are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .class_names import distinct
from .image.image_input import LEVELS, ImageInput

TYPES = ("mobilenet_v2", "mobilenet_v1", "efficientnet", "convnext", "regnet", "swin", "vit", "deit", "resnet")
"""Model types: the first type whose name is a part of the model's name is used, or else the last type."""
BILINEAR = 2
"""Pillow's number for bilinear resampling."""


def model_config(
    model: str, classes: int | None, names: Sequence[str] | None, image: ImageInput | None
) -> dict[str, Any]:
    """The content of ``config.json``: model type and labels."""
    config: dict[str, Any] = {}
    if classes is not None:
        told = distinct(names) if names is not None else [f"class {number}" for number in range(classes)]
        config["id2label"] = {str(number): name for number, name in enumerate(told)}
        config["label2id"] = {name: number for number, name in enumerate(told)}
    if image is not None:
        known = model.replace("-", "_").lower()
        config["model_type"] = next((name for name in TYPES if name in known), TYPES[-1])
        config |= {"image_size": image.height, "num_channels": image.channels}
    return config


def preprocessor_config(image: ImageInput) -> dict[str, Any]:
    """The content of ``preprocessor_config.json``: size, filter, mean and standard deviation."""
    return {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": image.channels == 3,
        "do_resize": True,
        "size": {"shortest_edge": round(min(image.height, image.width) * image.resize_ratio)},
        "resample": BILINEAR,
        "do_center_crop": True,
        "crop_size": {"height": image.height, "width": image.width},
        "do_rescale": True,
        "rescale_factor": 1 / LEVELS,
        "do_normalize": True,
        "image_mean": list(image.mean),
        "image_std": list(image.std),
    }
