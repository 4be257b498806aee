"""Errors of whole detectors: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

from typing import Any

import torch
from detector_nets import QUICK, Backbone, batches, faster_rcnn, file_of, images, int8, net, retinanet
from remedy_subjects import Case, int8_file
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.cli.folders.detectors import refuse_detectors, refuse_training, with_layers_alone
from fxpasses.detection import Detector, OnnxDetector
from fxpasses.detection.file.pieces import float_model
from fxpasses.detection.file.verifying import verify_detector
from fxpasses.detection.kinds import Kind, kind_of
from fxpasses.detection.one_stage_layers import layers_alone
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.model_input import IMAGENET
from fxpasses.models.zoos.torchvision_detection import detection_blueprint

SIZE = (64, 96)
PICTURE = (255 * images(1, SIZE)[0]).byte().permute(1, 2, 0).numpy()


class OfMyOwn(nn.Module):
    """A detector of no known class."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()

    def forward(self, given: Any) -> Any:
        return [maps.sum() for maps in self.backbone(torch.stack(given)).values()]


def _with_masks() -> Any:
    model: Any = faster_rcnn().eval()
    model.roi_heads.mask_roi_pool = model.roi_heads.mask_head = model.roi_heads.mask_predictor = nn.Identity().eval()
    return model


def _without_masks(model: Any) -> Any:
    model.roi_heads.mask_roi_pool = model.roi_heads.keypoint_roi_pool = None
    return kind_of(model)


def _as_tensor(picture: Any) -> Tensor:
    from torchvision.transforms.functional import to_tensor

    found: Tensor = to_tensor(picture)
    return found


def _of_a_subclass() -> Detector:
    """A detector whose thresholds are in code of the caller's, which the file does not have."""
    model: Any = net("SSD")

    class Stricter(type(model)):  # type: ignore[misc]  # a class made of a value
        def postprocess_detections(self, *args: Any) -> Any:
            found = super().postprocess_detections(*args)
            return [{name: values[:3] for name, values in image.items()} for image in found]

    detector = Detector(model, Kind.SSD, int8("SSD").graphs)
    detector.steps.__class__ = Stricter
    return detector


def _with_own_anchors() -> Detector:
    detector = Detector(net("SSD"), Kind.SSD, int8("SSD").graphs)

    class Anchors(type(detector.steps.anchor_generator)):  # type: ignore[misc]  # a class made of a value
        pass

    detector.steps.anchor_generator.__class__ = Anchors
    return detector


def _with_other_maps() -> Detector:
    """A detector whose backbone gives sizes that none of its layers has."""
    return Detector(net("SSD"), Kind.SSD, int8("SSD").graphs, lambda _: [(5, 7), (3, 4)])


def _layers_of_ssd() -> LoadedModel:
    return with_layers_alone(LoadedModel("m", net("SSD"), (3, 64, 64), IMAGENET, True))


def _one_step_of_training() -> None:
    """Train as the example does, by the losses that the detector's class gives."""
    model: Any = retinanet().train()
    target = {"boxes": torch.tensor([[4.0, 4.0, 30.0, 40.0]]), "labels": torch.tensor([1])}
    sum(model([torch.rand(3, 64, 64)], [target]).values()).backward()


class Unexportable(nn.Module):
    """Steps that ONNX has no operator for."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.special.bessel_j0(x)
        return found


def _resized(image: Tensor) -> Tensor:
    return nn.functional.interpolate(image[None], size=SIZE)[0]


def _odd_sizes(least: int) -> nn.Module:
    model: Any = retinanet().eval()
    model.transform.min_size = (least,)
    return layers_alone(model, (3, 64, 64))


DETECTION_CASES: dict[str, Case] = {
    "fxpasses/detection/kinds.py:kind_of": (
        lambda _: fx.quantize_detector(OfMyOwn().eval(), batches()),
        "fx.quantize(model.backbone, images, batches)",
        lambda _: fx.quantize(OfMyOwn().eval().backbone, torch.stack(images()), [torch.stack(images())]),
    ),
    "fxpasses/detection/kinds.py:kind_of#2": (
        lambda _: kind_of(_with_masks()),
        "model.roi_heads.mask_roi_pool = model.roi_heads.keypoint_roi_pool = None",
        lambda _: _without_masks(_with_masks()),
    ),
    "fxpasses/detection/images.py:checked_images": (
        lambda _: int8("SSD")(images()[0]),
        "give a list: [image]",
        lambda _: int8("SSD")([images()[0]]),
    ),
    "fxpasses/detection/images.py:checked_images#2": (
        lambda _: int8("SSD")([]),
        "give at least one image",
        lambda _: int8("SSD")(images(1)),
    ),
    "fxpasses/detection/images.py:checked_images#3": (
        lambda _: int8("SSD")([PICTURE]),
        "torchvision.transforms.functional.to_tensor(picture)",
        lambda _: int8("SSD")([_as_tensor(PICTURE)]),
    ),
    "fxpasses/detection/quantizing.py:quantize_detector": (
        lambda _: fx.quantize_detector(net("SSD"), []),
        "give some images",
        lambda _: fx.quantize_detector(net("SSD"), [images()], QUICK),
    ),
    "fxpasses/detection/detector.py:train": (
        lambda _: int8("SSD").train(),
        "detector.eval() leaves this one as it is",
        lambda _: int8("SSD").eval(),
    ),
    "fxpasses/detection/one_stage_layers.py:layers_alone": (
        lambda _: layers_alone(net("FasterRCNN"), (3, 64, 64)),
        "fx.quantize_detector(model, batches)",
        lambda _: int8("FasterRCNN"),
    ),
    "fxpasses/detection/one_stage_layers.py:layers_alone#2": (
        lambda _: _odd_sizes(60),
        "multiples of 32",
        lambda _: _odd_sizes(64),
    ),
    "fxpasses/detection/file/whole_file.py:_check_size": (
        lambda folder: int8("SSD").to_onnx(folder / "d.onnx", [64, 96]),  # type: ignore[arg-type]  # the error tried
        "image_size=(480, 640)",
        lambda _: file_of("SSD"),
    ),
    "fxpasses/detection/file/onnx_detector.py:__init__": (
        lambda folder: OnnxDetector(int8_file(folder)),
        ".to_onnx(path, image_size)",
        lambda _: OnnxDetector(file_of("SSD")),
    ),
    "fxpasses/detection/file/onnx_detector.py:__call__": (
        lambda _: OnnxDetector(file_of("SSD"))(images(1, (40, 50))),
        "resize it",
        lambda _: OnnxDetector(file_of("SSD"))([_resized(images(1, (40, 50))[0])]),
    ),
    "fxpasses/detection/file/pieces.py:float_model": (
        lambda _: float_model(Unexportable(), (torch.rand(2, 3),), ["x"], ["y"], 18),
        "deploy the detector in PyTorch",
        lambda _: int8("SSD")(images()),
    ),
    "fxpasses/detection/file/verifying.py:_require_shared": (
        lambda _: verify_detector(_of_a_subclass(), file_of("SSD"), SIZE),
        "verify=False writes the file unchecked",
        lambda _: file_of("SSD"),
    ),
    "fxpasses/detection/file/verifying.py:_results": (
        lambda folder: verify_detector(int8("SSD"), int8_file(folder), SIZE),
        "verify=False writes it anyway",
        lambda _: file_of("SSD"),
    ),
    "fxpasses/detection/saved/save_and_load.py:save_detector": (
        lambda folder: int8("SSD").save(folder / "d.pt2"),
        "name it d.fxdet",
        lambda folder: int8("SSD").save(folder / "d.fxdet"),
    ),
    "fxpasses/detection/saved/save_and_load.py:save_detector#2": (
        lambda folder: _of_a_subclass().save(folder / "d.fxdet"),
        "detector.to_onnx(path, image_size)",
        lambda _: file_of("SSD"),
    ),
    "fxpasses/detection/saved/described_parts.py:_require": (
        lambda folder: _with_own_anchors().save(folder / "d.fxdet"),
        "detector.to_onnx(path, image_size)",
        lambda _: file_of("SSD"),
    ),
    "fxpasses/detection/saved/level_sizes.py:level_names": (
        lambda folder: _with_other_maps().save(folder / "d.fxdet"),
        "detector.to_onnx(path, image_size)",
        lambda _: file_of("SSD"),
    ),
    "fxpasses/cli/folders/detectors.py:refuse_detectors": (
        lambda _: refuse_detectors(LoadedModel("m", net("SSD"), (3, 64, 64), IMAGENET, True), "m"),
        "docs/examples/detectors.py",
        lambda _: _one_step_of_training(),
    ),
    "fxpasses/cli/folders/detectors.py:refuse_training": (
        lambda _: refuse_training(_layers_of_ssd(), "--qat"),
        "leave --qat out",
        lambda _: int8("SSD"),
    ),
    "models/zoos/torchvision_detection.py:detection_blueprint": (
        lambda _: detection_blueprint("ssd300_vgg16", 320),
        "use its own size, 300",
        lambda _: detection_blueprint("ssd300_vgg16", 300),
    ),
    "models/zoos/torchvision_detection.py:detection_blueprint#2": (
        lambda _: detection_blueprint("fcos_resnet50_fpn", 100),
        "use 96 or 128",
        lambda _: detection_blueprint("fcos_resnet50_fpn", 128),
    ),
}
