"""The last steps of the file give the results of torchvision's code, on random outputs of heads, without ties."""

from __future__ import annotations

import pytest
import torch
from detector_nets import int8
from torch import Tensor

from fxpasses.detection.file.candidates import Candidates, clipped, large_enough
from fxpasses.detection.file.front import Front
from fxpasses.detection.file.one_stage import one_stage_end
from fxpasses.detection.file.onnx_detector import unpadded
from fxpasses.detection.file.verifying import shared_detections
from fxpasses.detection.images import noise, prepared

SIZE = (60, 84)


@pytest.mark.parametrize("name", ["SSD", "RetinaNet", "FCOS"])
def test_as_torchvision(name: str) -> None:
    detector, images = int8(name), noise(SIZE)
    front = Front(detector.steps, SIZE)
    given = prepared(detector.steps, images)
    assert torch.allclose(front(images), given.batch.tensors, atol=1e-5)
    generator = torch.Generator().manual_seed(3)
    outputs = {
        key: torch.randn(value.shape, generator=generator)
        for key, value in detector.int8["images"](given.batch.tensors).items()
    }
    end = one_stage_end(detector.kind, detector.steps, front, detector.grid_sizes(given.batch.tensors))
    found = unpadded(end([outputs[key] for key in end.reads]))
    expected = detector.detections(outputs, given, detector.int8)
    assert [len(image["scores"]) for image in expected] == [30, 30]
    assert shared_detections(found, expected) == 1


def _found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Candidates:
    kept = torch.tensor([boxes]), torch.tensor([scores]), torch.tensor([labels])
    return Candidates(*kept).best(overlap=0.5, most=3, extent=10.0)


BOX: list[float] = [0.0, 0.0, 4.0, 4.0]
NEAR: list[float] = [0.0, 0.0, 4.0, 3.0]


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([1, 1], [0.5, 0.9], [0.9, 0.0]),
        ([1, 2], [0.5, 0.9], [0.9, 0.5]),
        ([1, 1], [0.0, 0.9], [0.9, 0.0]),
        ([1, 1], [0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_suppression_is_within_a_label(labels: list[int], scores: list[float], expected: list[float]) -> None:
    found = _found([BOX, NEAR], scores, labels)
    assert found.scores[0].tolist() == pytest.approx(expected)


def test_boxes_are_clipped_and_measured() -> None:
    boxes: Tensor = clipped(torch.tensor([[[-1.0, 2.0, 50.0, 60.0], [3.0, 3.0, 3.0, 5.0]]]), (20, 30))
    assert boxes.tolist() == [[[0.0, 2.0, 30.0, 20.0], [3.0, 3.0, 3.0, 5.0]]]
    assert large_enough(boxes, 0.1).tolist() == [[True, False]]
