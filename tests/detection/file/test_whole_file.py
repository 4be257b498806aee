"""The whole detector in one ONNX file: onnxruntime finds what PyTorch finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from detector_nets import NETS, file_of, images, int8, net
from remedy_subjects import int8_file

from fxpasses.detection import Detector, OnnxDetector
from fxpasses.detection.file.verifying import LEAST_SHARED, shared_detections, verify_detector
from fxpasses.detection.images import noise
from fxpasses.detection.kinds import Kind
from fxpasses.errors import GraphError, InputError
from fxpasses.export.metadata import qparams_hash

SIZE = (64, 96)
"""A size that no detector resizes: interpolations of both runtimes round differently."""
ODD = (60, 84)
"""A size that every detector resizes, and all but SSD pad."""


MOST_APART = 0.05
"""Largest difference of the n-th best score. FCOS has GroupNorm, in float, which runtimes round differently: an integer
behind it may be one step off, which decides between boxes whose scores are nearly equal in a net of random weights.
"""
FASTEST = "SSD"
EACH = [name if name == FASTEST else pytest.param(name, marks=pytest.mark.slow) for name in NETS]
"""An export takes seconds: only one of them belongs to the quick tests."""


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", EACH)
def test_both_runtimes_find_the_same(name: str, count: int) -> None:
    given = images(count, SIZE, seed=9)
    found, expected = OnnxDetector(file_of(name))(given), int8(name)(given)
    assert [sorted(image) for image in found] == [sorted(image) for image in expected]
    assert [image["labels"].dtype for image in found] == [torch.int64] * count
    assert sum(len(image["scores"]) for image in found) > 5 * count
    if name != "FCOS":
        assert shared_detections(found, expected) >= LEAST_SHARED
    for a, b in zip(found, expected, strict=True):
        assert float((a["scores"] - b["scores"]).abs().max()) < MOST_APART


@pytest.mark.parametrize("name", EACH)
def test_the_best_comes_first(name: str) -> None:
    for image in OnnxDetector(file_of(name))(images(2, SIZE)):
        assert torch.equal(image["scores"], image["scores"].sort(descending=True).values)
        assert (
            float(image["boxes"][:, 2].max()) <= SIZE[1] + 1e-3 and float(image["boxes"][:, 3].max()) <= SIZE[0] + 1e-3
        )


def test_the_file_says_what_it_is() -> None:
    model = onnx.load(file_of("SSD"))
    onnx.checker.check_model(model)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["fxpasses.detector"]) == {"kind": "SSD", "image_size": list(SIZE)}
    assert said["fxpasses.qparams_sha256"] == qparams_hash(int8("SSD").graphs["images"])
    assert [output.name for output in model.graph.output] == ["boxes", "scores", "labels", "count"]
    kinds = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "NonMaxSuppression"} <= kinds and len(file_of("SSD").read_bytes()) < 400_000


@pytest.mark.slow
def test_faster_rcnn_has_both_parts() -> None:
    kinds = [node.op_type for node in onnx.load(file_of("FasterRCNN")).graph.node]
    assert kinds.count("NonMaxSuppression") == 2 and kinds.count("RoiAlign") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_images_are_resized_and_padded(name: str, tmp_path: Path) -> None:
    """The file is verified when it is written; boxes are in pixels of the given image."""
    for image in OnnxDetector(int8(name).to_onnx(tmp_path / "odd.onnx", ODD))(images(2, ODD)):
        assert len(image["boxes"]) > 3 and float(image["boxes"].max()) <= ODD[1] + 1e-3
        assert float(image["boxes"][:, 3].max()) <= ODD[0] + 1e-3 and float(image["boxes"].min()) >= 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_nothing_is_found_above_a_high_threshold(name: str, tmp_path: Path) -> None:
    detector = Detector(net(name), Kind(name), int8(name).graphs)
    steps = detector.steps.roi_heads if name == "FasterRCNN" else detector.steps
    steps.score_thresh = 2.0
    found = OnnxDetector(detector.to_onnx(tmp_path / "d.onnx", SIZE))(images(2, SIZE))
    assert [tuple(image["boxes"].shape) for image in found] == [(0, 4)] * 2


def test_a_file_of_another_detector_is_found_out(tmp_path: Path) -> None:
    other = Detector(net("SSD"), Kind.SSD, int8("SSD").graphs)
    other.steps.nms_thresh = 0.05
    with pytest.raises(GraphError, match=r"only \d+ % of what it finds in noise"):
        verify_detector(other, file_of("SSD"), SIZE)


def finding_nothing() -> Detector:
    """A detector that finds nothing in noise, like a RetinaNet whose random weights give each class a chance of 1 %."""
    detector = Detector(net("SSD"), Kind.SSD, int8("SSD").graphs)
    detector.steps.score_thresh = 0.99
    return detector


def with_threshold(model: onnx.ModelProto, threshold: float) -> onnx.ModelProto:
    """The file of an SSD with another threshold of scores, changed in place: an export would take seconds."""
    limits = {node.input[1] for node in model.graph.node if node.op_type == "Greater"}
    found = [tensor for tensor in model.graph.initializer if tensor.name in limits]
    (limit,) = [tensor for tensor in found if onnx.numpy_helper.to_array(tensor) > 0]
    limit.CopyFrom(onnx.numpy_helper.from_array(np.array(threshold, np.float32), limit.name))
    return model


def written(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def test_a_broken_file_is_found_out_though_nothing_is_found_in_noise(tmp_path: Path) -> None:
    detector = finding_nothing()
    assert sum(len(image["boxes"]) for image in detector(list(noise(SIZE)))) == 0
    model = with_threshold(onnx.load(file_of("SSD")), detector.steps.score_thresh)
    verify_detector(detector, written(model, tmp_path / "d.onnx"), SIZE)
    (anchors,) = [tensor for tensor in model.graph.initializer if tensor.name == "end/anchors"]
    values = onnx.numpy_helper.to_array(anchors)
    anchors.CopyFrom(onnx.numpy_helper.from_array(values + 8, anchors.name))
    with pytest.raises(GraphError, match=r"only \d+ % of what it finds in random outputs of its layers"):
        verify_detector(detector, written(model, tmp_path / "moved.onnx"), SIZE)


def test_a_size_of_no_image_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image_size=640\n.*height and width"):
        int8("SSD").to_onnx(tmp_path / "d.onnx", 640)  # type: ignore[arg-type]  # the error tested


def test_images_of_another_size_are_told() -> None:
    with pytest.raises(InputError, match=r"image 1 is 40x50\n.*takes images of 64x96 alone\n.*image_size=\(40, 50\)"):
        OnnxDetector(file_of("SSD"))([*images(1, SIZE), *images(1, (40, 50))])


def test_no_images_are_told() -> None:
    with pytest.raises(InputError, match="an empty list of images"):
        OnnxDetector(file_of("SSD"))([])


def test_another_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a detector's file\n.*not boxes, scores, labels, count"):
        OnnxDetector(int8_file(tmp_path))
