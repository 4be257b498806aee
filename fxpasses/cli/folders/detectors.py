"""Whole detectors at the command line: their layers are the model, and the metric ``map`` reads boxes as they do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from fxpasses.errors import InputError
from fxpasses.measure.detected_boxes import true_boxes
from fxpasses.measure.metric_sums import required_labels
from fxpasses.measure.metrics import Metric
from fxpasses.measure.torchmetrics_sums import Batch, detections
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import Preprocessing

from ..terminal import Terminal

if TYPE_CHECKING:
    from fxpasses.detection.one_stage_layers import DetectorLayers

DETECTOR_ONNX = "detector.int8.onnx"
"""The whole detector, beside the files of its layers."""


def is_detector(module: nn.Module) -> bool:
    """Whether a module is a whole detector of torchvision; torchvision is not imported for the answer."""
    if "torchvision.models.detection" not in sys.modules:
        return False
    from fxpasses.detection.kinds import known_kind

    return known_kind(module) is not None


def with_layers_alone(loaded: LoadedModel) -> LoadedModel:
    """A loaded detector as a model of its layers, with the input that its transform makes; others as they are.

    Raises:
        InputError: it is a detector of a kind that is not served.
    """
    if not is_detector(loaded.module):
        return loaded
    from fxpasses.detection.one_stage_layers import layers_alone

    layers = layers_alone(loaded.module, loaded.input_shape)
    transform = layers.whole.transform
    pixels = Preprocessing(tuple(transform.image_mean), tuple(transform.image_std))
    return replace(loaded, module=layers.eval(), input_shape=layers.image_shape, preprocessing=pixels)


def refuse_detectors(loaded: LoadedModel, spec: str) -> None:
    """Refuse to train a whole detector, whose losses and targets are its own.

    Raises:
        InputError: the model is one.
    """
    if is_detector(loaded.module):
        raise InputError(
            f"cannot train {spec}, a whole detector, with this command",
            why="it is trained by classes of images, and a detector by boxes, with losses of its own class",
            fix="train it in Python, as docs/examples/detectors.py does, then fxpasses quantize --weights FILE",
        )


def refuse_training(model: LoadedModel, option: str) -> None:
    """Refuse an option that trains the layers of a whole detector.

    Raises:
        InputError: the model is one.
    """
    if layers_in(model) is not None:
        raise InputError(
            f"{option} with a whole detector",
            why="its layers learn by losses on boxes, which its own class has; this training has losses of logits",
            fix=f"leave {option} out; or train in Python, as docs/examples/detectors.py does, and give the --weights",
        )


def layers_in(model: LoadedModel) -> DetectorLayers | None:
    """The layers of a detector; None for any other model."""
    from fxpasses.detection.one_stage_layers import DetectorLayers

    return model.module if isinstance(model.module, DetectorLayers) else None


def detector_metric(metric: Metric, layers: DetectorLayers, keys: list[str], categories: int | None) -> Metric:
    """The metric ``map`` for outputs of a detector's layers, which its own steps turn into boxes.

    Args:
        keys: names of the model's outputs.
        categories: number of classes in the data, if it is known.
    """
    from fxpasses.detection.one_stage_layers import data_labels

    def prepared(outputs: tuple[Tensor, ...], labels: Any) -> Batch:
        named = dict(zip(keys, outputs, strict=True))
        with torch.no_grad():
            found = layers.detections(named)
        classes = named["cls_logits"].shape[-1]
        for image in found:
            image["labels"] = data_labels(image["labels"], classes, categories)
        return found, [true_boxes(rows) for rows in required_labels(labels, "map").float()]

    return replace(metric, start=lambda: replace(detections(), prepared=prepared), reads_all=True)


def write_whole(folder: Path, model: LoadedModel, int8: fx.GraphModule, terminal: Terminal) -> dict[str, Any]:
    """Write the whole detector as one ONNX file.

    Returns:
        ``deploy`` of report.json, the name of that file; empty for any other model, for which no file is written.
    """
    layers = layers_in(model)
    if layers is None:
        return {}
    from fxpasses.detection.detector import Detector
    from fxpasses.detection.parts import IMAGES

    with terminal.step("export the whole detector"):
        detector = Detector(layers.whole, layers.kind, {IMAGES: int8})
        return {"deploy": detector.to_onnx(folder / DETECTOR_ONNX, layers.image_shape[1:]).name}
