"""The layers of a detector as a model of their own give the detections of the whole one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detector_nets import LARGE, NETS, SMALL, images, net

from fxpasses.detection.file.verifying import shared_detections
from fxpasses.detection.one_stage_layers import data_labels, layers_alone
from fxpasses.errors import InputError


@pytest.mark.parametrize("name", [name for name in NETS if name != "FasterRCNN"])
def test_detections_are_those_of_the_whole(name: str) -> None:
    model: Any = net(name)
    layers = layers_alone(model, (3, SMALL, LARGE))
    assert layers.image_shape == (3, SMALL, LARGE)
    given = images()
    mean, std = (
        torch.tensor(values).view(-1, 1, 1) for values in (model.transform.image_mean, model.transform.image_std)
    )
    with torch.no_grad():
        found = layers.detections(layers((torch.stack(given) - mean) / std))
        assert shared_detections(found, model(given)) == 1
    assert set(layers.state_dict()) == {key for key in model.state_dict() if key.startswith(("backbone.", "head."))}


def test_the_transform_decides_on_the_size() -> None:
    assert layers_alone(net("SSD"), (3, 224, 224)).image_shape == (3, SMALL, LARGE)
    assert layers_alone(net("RetinaNet"), (3, 224, 224)).image_shape == (3, SMALL, SMALL)


def test_two_stages_are_refused() -> None:
    with pytest.raises(InputError, match="it is two networks"):
        layers_alone(net("FasterRCNN"), (3, SMALL, SMALL))


@pytest.mark.parametrize(
    ("labels", "classes", "categories", "expected"),
    [
        ([1, 2], 3, 2, [0, 1]),
        ([0, 1], 2, 2, [0, 1]),
        ([1, 13, 90], 91, 80, [0, 11, 79]),
        ([1, 2], 3, None, [0, 1]),
    ],
)
def test_labels_of_the_data(labels: list[int], classes: int, categories: int | None, expected: list[int]) -> None:
    assert data_labels(torch.tensor(labels), classes, categories).tolist() == expected
