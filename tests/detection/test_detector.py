"""A quantized detector is called as the float one, finds nearly the same, and has the same integers everywhere."""

from __future__ import annotations

import pytest
import torch
from detector_nets import NETS, QUICK, batches, images, int8, net

import fxpasses as fx
from fxpasses.detection.file.verifying import shared_detections
from fxpasses.detection.float_steps import Detections
from fxpasses.detection.kinds import Kind
from fxpasses.detection.parts import parts_of
from fxpasses.errors import InputError


def float_detections(name: str, given: list[torch.Tensor]) -> Detections:
    with torch.no_grad():
        found: Detections = net(name)(given)
    return found


@pytest.mark.parametrize("name", NETS)
def test_int8_finds_nearly_the_same(name: str) -> None:
    given = images(4, seed=5)
    expected, found = float_detections(name, given), int8(name)(given)
    assert sum(len(image["boxes"]) for image in expected) > 20
    assert [sorted(image) for image in found] == [["boxes", "labels", "scores"]] * 4
    for a, b in zip(expected, found, strict=True):
        assert float((a["scores"] - b["scores"]).abs().max()) < MOST_APART


MOST_APART = 0.05
"""Largest difference of the n-th best score in float and in int8: 8 bits of logits from -4 to 4, rounded some times."""


@pytest.mark.parametrize("name", NETS)
def test_float_parts_give_the_float_detections(name: str) -> None:
    """The float steps are the detector's own: with float parts in the place of int8 ones nothing changes."""
    from fxpasses.detection.images import prepared

    detector, given = int8(name), images(3, size=(70, 90), seed=6)
    parts = parts_of(net(name), Kind(name))
    ready = prepared(detector.steps, given)
    with torch.no_grad():
        found = detector.detections(parts["images"](ready.batch.tensors), ready, parts)
    assert shared_detections(found, float_detections(name, given)) == 1


ROUNDING = 1e-3
"""Coordinates in pixels are scaled to the given image in float32."""


@pytest.mark.parametrize("name", NETS)
def test_images_of_several_sizes(name: str) -> None:
    given = [*images(1, size=(64, 64)), *images(1, size=(50, 90)), *images(1, size=(120, 100))]
    found = int8(name)(given)
    for image, each in zip(given, found, strict=True):
        height, width = image.shape[1:]
        assert len(each["boxes"]) and float(each["boxes"][:, 2].max()) <= width + ROUNDING
        assert float(each["boxes"][:, 3].max()) <= height + ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_integers_are_the_same_in_both_runtimes(name: str) -> None:
    reports = int8(name).parity([images(2, seed=7)])
    assert set(reports) == set(int8(name).graphs)
    assert all(report.max_lsb_at_any_node == 0 for report in reports.values())


def test_an_iterator_is_enough_and_the_model_is_not_changed() -> None:
    model = net("FasterRCNN")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    detector = fx.quantize_detector(model, iter(batches()), QUICK)
    assert list(detector.graphs) == ["images", "regions"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    expected = int8("FasterRCNN")(images())
    assert shared_detections(detector(images()), expected) == 1


def test_no_batch_is_told() -> None:
    with pytest.raises(InputError, match="no batch of images"):
        fx.quantize_detector(net("SSD"), [])


def test_no_images_are_told() -> None:
    with pytest.raises(InputError, match="an empty list of images"):
        int8("SSD")([])


@pytest.mark.parametrize("name", NETS)
def test_nothing_is_found_above_a_high_threshold(name: str) -> None:
    detector = fx.detection.Detector(net(name), Kind(name), int8(name).graphs)
    steps = detector.steps.roi_heads if name == "FasterRCNN" else detector.steps
    steps.score_thresh = 2.0
    assert [tuple(image["boxes"].shape) for image in detector(images())] == [(0, 4)] * 2


def test_no_proposal_is_left() -> None:
    detector = fx.detection.Detector(net("FasterRCNN"), Kind.FASTER_RCNN, int8("FasterRCNN").graphs)
    detector.steps.rpn.score_thresh = 2.0
    found = detector(images())
    assert [tuple(image["boxes"].shape) for image in found] == [(0, 4)] * 2
    assert [image["labels"].dtype for image in found] == [torch.int64] * 2


def test_it_does_not_train() -> None:
    assert int8("SSD").eval() is int8("SSD") and not int8("SSD").training
    with pytest.raises(InputError, match="its layers are integers"):
        int8("SSD").train()
